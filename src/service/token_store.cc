#include "service/token_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "service/row_filter.h"

namespace backstream::service {

using base::fail;
using base::Result;
using catalog::Kind;

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kSecretOctets = 32;
constexpr size_t kNameOctetsMax = 63;
constexpr Micros kUsePeriodUs = 60 * base::kMicrosPerSecond;
constexpr size_t kUseFileOctetsMax = size_t{4} << 20;
constexpr std::string_view kUseFormat = "backstream token use";

void start_sodium() {
  // Of its errors there is one: the system gives no random numbers.
  static const int started = sodium_init();
  if (started < 0) throw std::runtime_error("the system gives no random numbers");
}

uint64_t first_word(const TokenHash& hash) {
  uint64_t word = 0;
  std::memcpy(&word, hash.octets, sizeof word);
  return word;
}

bool is_token_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameOctetsMax && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

/// Of the form that create() gives; nothing else is worth a hash.
bool is_token(std::string_view text) {
  if (!text.starts_with(TokenStore::kPrefix)) return false;
  text.remove_prefix(TokenStore::kPrefix.size());
  return text.size() == 2 * kSecretOctets &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<void> check(const NewToken& wanted) {
  if (!is_token_name(wanted.name)) {
    return fail("22023", fmt::format("a token cannot have the name '{}'", wanted.name), {},
                fmt::format("names are 1 to {} letters, digits, '.', '_' and '-'", kNameOctetsMax));
  }
  if (wanted.lifetime_us < base::kMicrosPerSecond || wanted.lifetime_us > NewToken::kTokenLifetimeMaxUs) {
    return fail("22023", "a token cannot live that long, or that short", {},
                fmt::format("from 1 s to {} d; make a new one before it expires",
                            NewToken::kTokenLifetimeMaxUs / NewToken::kDayUs));
  }
  if (wanted.row_filter.empty()) return {};
  if (wanted.role != config::AccessRole::kViewer) {
    return fail("22023", fmt::format("a row filter does not hold for the role {}", config::name(wanted.role)), {},
                "who writes queries names their columns as he likes: give the role viewer, or no filter");
  }
  return RowFilter::check(wanted.row_filter);
}

/// All of it, or nothing where it is not there or too long.
std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  return text.size() > kUseFileOctetsMax ? std::string() : text;
}

/// Whole or not at all, and for nobody else to read.
bool replace_file(const std::string& path, const std::string& text) {
  const std::string next = path + ".next";
  const int descriptor = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return false;
  bool written = true;
  for (size_t at = 0; written && at < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + at, text.size() - at);
    written = count > 0;
    if (written) at += static_cast<size_t>(count);
  }
  written = ::close(descriptor) == 0 && written;
  return written && std::rename(next.c_str(), path.c_str()) == 0;
}

}  // namespace

std::string TokenHash::hex() const {
  std::string text(2 * kOctets + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), octets, kOctets);
  text.pop_back();
  return text;
}

std::optional<TokenHash> TokenHash::of_hex(std::string_view text) {
  TokenHash hash;
  size_t octets = 0;
  const char* end = nullptr;
  const int failed = sodium_hex2bin(hash.octets, kOctets, text.data(), text.size(), nullptr, &octets, &end);
  if (failed != 0 || octets != kOctets || end != text.data() + text.size()) return std::nullopt;
  return hash;
}

TokenHash hash_token(std::string_view token) {
  start_sodium();
  TokenHash hash;
  crypto_generichash(hash.octets, TokenHash::kOctets, reinterpret_cast<const unsigned char*>(token.data()),
                     token.size(), nullptr, 0);
  return hash;
}

bool equal(const TokenHash& a, const TokenHash& b) {
  return sodium_memcmp(a.octets, b.octets, TokenHash::kOctets) == 0;
}

TokenStore::TokenStore(catalog::Catalog* catalog, std::string use_file)
    : catalog_(catalog), use_file_(std::move(use_file)) {
  start_sodium();
}

TokenStore::~TokenStore() { keep_use(0, true); }

std::string TokenStore::body_of(const Entry& entry) {
  const Json body = {{"hash", entry.hash.hex()},
                     {"role", config::name(entry.token.role)},
                     {"row_filter", entry.token.row_filter},
                     {"created_at", base::format_rfc3339(entry.token.created_at)},
                     {"expires_at", base::format_rfc3339(entry.token.expires_at)}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Null: its body is none that we know.
std::shared_ptr<TokenStore::Entry> TokenStore::entry_of(const catalog::Object& object) {
  try {
    const Json body = Json::parse(object.body);
    auto entry = std::make_shared<Entry>();
    entry->token.name = object.name;
    entry->incarnation = object.incarnation;
    const auto hash = TokenHash::of_hex(body.at("hash").get<std::string>());
    const auto role = config::access_role_of(body.at("role").get<std::string>());
    const auto created = base::parse_timestamp(body.at("created_at").get<std::string>());
    const auto expires = base::parse_timestamp(body.at("expires_at").get<std::string>());
    if (!hash || !role || !created || !expires) return nullptr;
    entry->hash = *hash;
    entry->token.role = *role;
    entry->token.row_filter = body.at("row_filter").get<std::string>();
    entry->token.created_at = *created;
    entry->token.expires_at = *expires;
    return entry;
  } catch (const Json::exception&) {
    return nullptr;
  }
}

Token TokenStore::shown(const Entry& entry) {
  Token token = entry.token;
  if (const Micros used = entry.used_at.load(std::memory_order_relaxed); used != 0) token.last_used_at = used;
  return token;
}

/// With change_mutex_ held.
Result<void> TokenStore::read_catalog() {
  if (catalog_ == nullptr) return {};
  // Asked before: what changes while they are listed is read again next time.
  const catalog::Revision revision = catalog_->revision();
  const auto objects = catalog_->list(Kind::kToken);
  if (!objects) return tl::unexpected(objects.error());
  Entries by_name;
  ByHash by_hash;
  uint64_t unreadable = 0;
  for (const catalog::Object& object : *objects) {
    auto entry = entry_of(object);
    if (!entry) {
      ++unreadable;
      continue;
    }
    by_hash.emplace(first_word(entry->hash), entry);
    by_name.emplace(object.name, std::move(entry));
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : by_name) {
    const auto before = by_name_.find(name);
    if (before != by_name_.end() && before->second->incarnation == entry->incarnation)
      entry->used_at = before->second->used_at.load();
  }
  by_name_.swap(by_name);
  by_hash_.swap(by_hash);
  unreadable_ = unreadable;
  read_at_ = revision;
  return {};
}

Result<void> TokenStore::load() {
  const std::lock_guard change(change_mutex_);
  auto read = read_catalog();
  if (read) read_use();
  return read;
}

Result<void> TokenStore::follow() {
  const std::lock_guard change(change_mutex_);
  if (catalog_ == nullptr || catalog_->revision() == read_at_) return {};
  const catalog::Revision revision = catalog_->revision();
  const auto changed = catalog_->changed_since(read_at_);
  if (!changed) return tl::unexpected(changed.error());
  const bool concerns_us = !*changed || std::any_of((*changed)->begin(), (*changed)->end(), [](const auto& change_of) {
    return change_of.kind == Kind::kToken;
  });
  if (concerns_us) return read_catalog();
  read_at_ = revision;
  return {};
}

Result<std::string> TokenStore::create(const NewToken& wanted, const catalog::Author& author, Micros now) {
  if (catalog_ == nullptr)
    return fail("55000", "there is no catalog that could keep a token", {}, "see why the catalog cannot be read");
  if (const auto checked = check(wanted); !checked) return tl::unexpected(checked.error());
  if (size() >= kTokensMax)
    return fail("53400", fmt::format("there are {} tokens, the most there can be", kTokensMax), {},
                "revoke those that have expired");
  unsigned char secret[kSecretOctets];
  randombytes_buf(secret, sizeof secret);
  char digits[2 * kSecretOctets + 1];
  sodium_bin2hex(digits, sizeof digits, secret, sizeof secret);
  std::string token = fmt::format("{}{}", kPrefix, digits);
  sodium_memzero(secret, sizeof secret);
  sodium_memzero(digits, sizeof digits);

  auto entry = std::make_shared<Entry>();
  entry->token = {wanted.name, wanted.role, wanted.row_filter, now, now + wanted.lifetime_us, std::nullopt};
  entry->hash = hash_token(token);
  catalog::Change change;
  change.action = catalog::Change::Action::kCreate;
  change.kind = Kind::kToken;
  change.name = wanted.name;
  change.body = body_of(*entry);
  change.verb = "create";
  change.comment = fmt::format("{} until {}", config::name(wanted.role), base::format_rfc3339(entry->token.expires_at));
  if (!wanted.row_filter.empty()) change.comment += fmt::format(", rows where {}", wanted.row_filter);

  const std::lock_guard changing(change_mutex_);
  const auto made = catalog_->apply(std::span(&change, 1), author, now);
  if (!made) return tl::unexpected(made.error());
  entry->incarnation = *made;
  const std::lock_guard lock(mutex_);
  by_hash_.emplace(first_word(entry->hash), entry);
  by_name_.insert_or_assign(wanted.name, std::move(entry));
  return token;
}

Result<void> TokenStore::revoke(std::string_view name, const catalog::Author& author, Micros now) {
  if (catalog_ == nullptr) return fail("42704", fmt::format("there is no token '{}'", name));
  catalog::Change change;
  change.action = catalog::Change::Action::kDrop;
  change.kind = Kind::kToken;
  change.name = name;
  change.verb = "revoke";
  const std::lock_guard changing(change_mutex_);
  const auto made = catalog_->apply(std::span(&change, 1), author, now);
  if (!made) return tl::unexpected(made.error());
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(change.name);
  if (at == by_name_.end()) return {};  // One that could not be read.
  std::erase_if(by_hash_, [&](const auto& known) { return known.second == at->second; });
  by_name_.erase(at);
  return {};
}

std::vector<Token> TokenStore::list() const {
  std::vector<Token> tokens;
  {
    const std::lock_guard lock(mutex_);
    tokens.reserve(by_name_.size());
    for (const auto& [name, entry] : by_name_) tokens.push_back(shown(*entry));
  }
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) { return a.name < b.name; });
  return tokens;
}

std::optional<Token> TokenStore::find_by_name(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(std::string(name));
  if (at == by_name_.end()) return std::nullopt;
  return shown(*at->second);
}

size_t TokenStore::size() const {
  const std::lock_guard lock(mutex_);
  return by_name_.size();
}

TokenStore::Found TokenStore::find(std::string_view token, Micros now) {
  Found found;
  if (!is_token(token)) {
    found.verdict = Verdict::kMalformed;
    return found;
  }
  const TokenHash hash = hash_token(token);
  const std::lock_guard lock(mutex_);
  // The map's time tells at most the first bits of hashes, of which nobody finds tokens.
  const auto [begin, end] = by_hash_.equal_range(first_word(hash));
  for (auto at = begin; at != end; ++at) {
    Entry& entry = *at->second;
    if (!equal(entry.hash, hash)) continue;
    found.token = shown(entry);
    found.verdict = now < entry.token.expires_at ? Verdict::kGood : Verdict::kExpired;
    if (found.verdict == Verdict::kGood) {
      entry.used_at.store(now, std::memory_order_relaxed);
      use_changed_.store(true, std::memory_order_relaxed);
    }
  }
  return found;
}

/// With change_mutex_ held. A file that cannot be read is one that says nothing: it only dates.
void TokenStore::read_use() {
  if (use_file_.empty()) return;
  const std::string text = read_file(use_file_);
  const Json document = Json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("format") || document["format"] != kUseFormat) return;
  const std::lock_guard lock(mutex_);
  try {
    for (const auto& [name, use] : document.at("used").items()) {
      const auto at = by_name_.find(name);
      if (at == by_name_.end() || use.at("incarnation").get<uint64_t>() != at->second->incarnation.value) continue;
      if (const auto used = base::parse_timestamp(use.at("at").get<std::string>())) at->second->used_at = *used;
    }
  } catch (const Json::exception&) {
  }
}

bool TokenStore::keep_use(Micros now, bool at_once) {
  const std::lock_guard change(change_mutex_);
  if (use_file_.empty() || !use_changed_.load(std::memory_order_relaxed)) return true;
  if (!at_once && now >= use_kept_at_ && now - use_kept_at_ < kUsePeriodUs) return true;
  use_changed_ = false;
  use_kept_at_ = now;
  Json used = Json::object();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : by_name_) {
      if (const Micros at = entry->used_at.load(std::memory_order_relaxed); at != 0)
        used[name] = {{"incarnation", entry->incarnation.value}, {"at", base::format_rfc3339(at)}};
    }
  }
  const Json document = {{"format", kUseFormat}, {"version", 1}, {"used", std::move(used)}};
  const bool written = replace_file(use_file_, document.dump() + "\n");
  if (!written) use_changed_ = true;  // Tried again in a minute.
  return written;
}

}  // namespace backstream::service

#include "decode/template_store.h"

#include <algorithm>
#include <cassert>
#include <compare>
#include <iterator>

#include "base/varint.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace backstream::decode {

bool TemplateStore::Announcements::operator==(const Announcements& other) const {
  return facts == other.facts && std::equal(templates.begin(), templates.end(), other.templates.begin(),
                                            other.templates.end(), [](const auto& a, const auto& b) {
                                              return a.first == b.first && a.second->same_layout(*b.second);
                                            });
}

TemplateStore::Sender* TemplateStore::sender_of(const SenderKey& key) {
  const auto known = senders_.find(key);
  if (known != senders_.end()) return &known->second;
  return senders_.size() < limits_.sender_count_max ? &senders_[key] : nullptr;
}

void TemplateStore::push(Change change, uint64_t& seen) {
  const uint64_t before = version_.load(std::memory_order_relaxed);
  changes_.push_back(std::move(change));
  if (changes_.size() > kChangesMax) changes_.pop_front();
  version_.store(before + 1, std::memory_order_release);
  if (seen == before) seen = before + 1;
}

TemplateStore::Verdict TemplateStore::define(const SenderKey& sender, const TemplateKey& key,
                                             TemplatePointer& definition, uint64_t& seen) {
  const std::lock_guard lock(mutex_);
  return define_locked(sender, key, definition, seen);
}

TemplateStore::Verdict TemplateStore::define_locked(const SenderKey& sender, const TemplateKey& key,
                                                    TemplatePointer& definition, uint64_t& seen) {
  assert(can_be_template(key.id, *definition));
  Sender* known = sender_of(sender);
  if (known == nullptr) return Verdict::kFull;
  const auto at = known->templates.find(key);
  if (at != known->templates.end() && at->second->same_layout(*definition)) {
    at->second->refreshed_at.store(definition->refreshed_at.load(std::memory_order_relaxed), std::memory_order_relaxed);
    definition = at->second;
    return Verdict::kKnown;
  }
  const size_t fields_before = at == known->templates.end() ? 0 : at->second->fields.size();
  if (field_count_ - fields_before + definition->fields.size() > limits_.field_count_total_max) return Verdict::kFull;
  if (at == known->templates.end()) {
    if (known->templates.size() >= limits_.template_count_max || template_count_ >= limits_.template_count_total_max)
      return Verdict::kFull;
    ++template_count_;
    known->templates.emplace(key, definition);
  } else {
    at->second = definition;
  }
  field_count_ += definition->fields.size() - fields_before;
  Change change;
  change.sender = sender;
  change.key = key;
  change.definition = definition;
  push(std::move(change), seen);
  return Verdict::kTaken;
}

void TemplateStore::withdraw(const SenderKey& sender, const TemplateKey& key, uint64_t& seen) {
  const std::lock_guard lock(mutex_);
  const auto known = senders_.find(sender);
  if (known == senders_.end()) return;
  const auto at = known->second.templates.find(key);
  if (at == known->second.templates.end()) return;
  field_count_ -= at->second->fields.size();
  --template_count_;
  known->second.templates.erase(at);
  Change change;
  change.sender = sender;
  change.key = key;
  push(std::move(change), seen);
}

TemplateStore::Verdict TemplateStore::set_fact(const SenderKey& sender, const FactKey& key, const Fact& fact,
                                               uint64_t& seen) {
  const std::lock_guard lock(mutex_);
  return set_fact_locked(sender, key, fact, seen);
}

TemplateStore::Verdict TemplateStore::set_fact_locked(const SenderKey& sender, const FactKey& key, const Fact& fact,
                                                      uint64_t& seen) {
  assert(fact.text.size() <= kFactTextMax);
  assert(!is_name(key.kind));
  Sender* known = sender_of(sender);
  if (known == nullptr) return Verdict::kFull;
  const auto at = known->facts.find(key);
  if (at != known->facts.end()) {
    if (at->second == fact) return Verdict::kKnown;
    at->second = fact;
  } else {
    if (known->facts.size() >= limits_.fact_count_max || fact_count_ >= limits_.fact_count_total_max)
      return Verdict::kFull;
    known->facts.emplace(key, fact);
    ++fact_count_;
  }
  Change change;
  change.sender = sender;
  change.is_fact = true;
  change.fact_key = key;
  change.fact = fact;
  push(std::move(change), seen);
  return Verdict::kTaken;
}

TemplateStore::Verdict TemplateStore::set_name(const SenderKey& sender, const FactKey& key, const Fact& fact,
                                               Micros told_at) {
  const std::lock_guard lock(mutex_);
  return set_name_locked(sender, key, fact, told_at);
}

TemplateStore::Verdict TemplateStore::set_name_locked(const SenderKey& sender, const FactKey& key, const Fact& fact,
                                                      Micros told_at) {
  assert(fact.text.size() <= kFactTextMax);
  assert(is_name(key.kind));
  Sender* known = sender_of(sender);
  if (known == nullptr) return Verdict::kFull;
  known->names_told_at = std::max(known->names_told_at, told_at);
  const auto at = known->names.find(key);
  if (at == known->names.end()) {
    if (known->names.size() >= limits_.name_count_max || name_count_ >= limits_.name_count_total_max)
      return Verdict::kFull;
    known->names.emplace(key, fact);
    ++name_count_;
  } else {
    Fact told = fact;
    if (told.text.empty()) told.text = at->second.text;
    if (told.number == 0) told.number = at->second.number;
    if (at->second == told) return Verdict::kKnown;
    at->second = std::move(told);
  }
  note_refresh();
  return Verdict::kTaken;
}

bool TemplateStore::changes_since(uint64_t& seen, std::vector<Change>& to) const {
  const std::lock_guard lock(mutex_);
  const uint64_t newest = version_.load(std::memory_order_relaxed);
  const uint64_t behind = newest - seen;
  seen = newest;
  if (behind > changes_.size()) return false;
  to.insert(to.end(), changes_.end() - static_cast<std::ptrdiff_t>(behind), changes_.end());
  return true;
}

TemplateStore::Announcements TemplateStore::announcements_of(const SenderKey& sender) const {
  Announcements all;
  const std::lock_guard lock(mutex_);
  const auto known = senders_.find(sender);
  if (known == senders_.end()) return all;
  all.templates.assign(known->second.templates.begin(), known->second.templates.end());
  all.facts.assign(known->second.facts.begin(), known->second.facts.end());
  std::sort(all.templates.begin(), all.templates.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first.domain, a.first.version, a.first.id) <
           std::tie(b.first.domain, b.first.version, b.first.id);
  });
  return all;
}

std::vector<std::pair<FactKey, Fact>> TemplateStore::names_of(const SenderKey& sender) const {
  const std::lock_guard lock(mutex_);
  const auto known = senders_.find(sender);
  if (known == senders_.end()) return {};
  return {known->second.names.begin(), known->second.names.end()};
}

std::vector<SenderKey> TemplateStore::senders() const {
  std::vector<SenderKey> keys;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, sender] : senders_) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end(), [](const SenderKey& a, const SenderKey& b) {
    const auto order = base::compare(a.address, b.address);
    return std::is_eq(order) ? a.port < b.port : std::is_lt(order);
  });
  return keys;
}

std::vector<std::pair<SenderKey, size_t>> TemplateStore::expire(Micros now, Micros refreshed_before) {
  std::vector<std::pair<SenderKey, size_t>> expired;
  const std::lock_guard lock(mutex_);
  if (expired_at_ != base::kMinTime && now >= expired_at_ && now - expired_at_ < 60 * base::kMicrosPerSecond)
    return expired;
  expired_at_ = now;
  uint64_t nobody = UINT64_MAX;
  for (auto& [key, sender] : senders_) {
    size_t count = 0;
    for (auto at = sender.templates.begin(); at != sender.templates.end();) {
      if (at->second->refreshed_at.load(std::memory_order_relaxed) >= refreshed_before) {
        ++at;
        continue;
      }
      Change change;
      change.sender = key;
      change.key = at->first;
      field_count_ -= at->second->fields.size();
      --template_count_;
      ++count;
      at = sender.templates.erase(at);
      push(std::move(change), nobody);
    }
    if (count != 0) expired.emplace_back(key, count);
  }
  // A sender of which nothing is left makes room for another. One that announces no templates (sFlow) has names alone.
  for (auto at = senders_.begin(); at != senders_.end();) {
    Sender& sender = at->second;
    if (sender.names_told_at == base::kMinTime) sender.names_told_at = now;
    const bool named = !sender.names.empty() && sender.names_told_at >= refreshed_before;
    if (!sender.templates.empty() || !sender.facts.empty() || named) {
      ++at;
      continue;
    }
    name_count_ -= sender.names.size();
    at = senders_.erase(at);
  }
  return expired;
}

size_t TemplateStore::template_count() const {
  const std::lock_guard lock(mutex_);
  return template_count_;
}
size_t TemplateStore::fact_count() const {
  const std::lock_guard lock(mutex_);
  return fact_count_;
}
size_t TemplateStore::name_count() const {
  const std::lock_guard lock(mutex_);
  return name_count_;
}

// --- the state file: head, senders, checksum -------------------------------------------------------------------------

namespace {

using base::put_varint;

constexpr uint8_t kMagic[] = {'B', 'S', 'E', 'X', 'P', 'O', 'R', 'T'};
constexpr uint8_t kVersionOldest = 1, kVersion = 2;  // 2: names of interfaces, VRFs and applications
/// Of the year 9999; differences of times within are far from what 64 bits hold.
constexpr Micros kTimeMax = Micros{253'402'300'799} * base::kMicrosPerSecond;
constexpr size_t kHeadOctets = sizeof kMagic + 1, kChecksumOctets = 8;

uint64_t checksum(std::span<const uint8_t> octets) { return XXH3_64bits(octets.data(), octets.size()); }

void put_address(std::vector<uint8_t>& out, const base::Inet& address) {
  out.push_back(address.family);
  for (int i = 7; i >= 0; --i) out.push_back(static_cast<uint8_t>(address.hi >> (8 * i)));
  for (int i = 7; address.family == 6 && i >= 0; --i) out.push_back(static_cast<uint8_t>(address.lo >> (8 * i)));
}

/// Octets read from the front; every read says whether it fitted.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> octets) : octets_(octets) {}
  bool number(uint64_t& value, uint64_t most = UINT64_MAX) {
    const size_t used = base::get_varint(octets_.data(), octets_.size(), value);
    octets_ = octets_.subspan(used);
    return used != 0 && value <= most;
  }
  template <typename T>
  bool number(T& value) {
    uint64_t wide = 0;
    if (!number(wide, std::numeric_limits<T>::max())) return false;
    value = static_cast<T>(wide);
    return true;
  }
  bool take(size_t count, std::span<const uint8_t>& to) {
    if (octets_.size() < count) return false;
    to = octets_.first(count);
    octets_ = octets_.subspan(count);
    return true;
  }
  bool address(base::Inet& inet) {
    std::span<const uint8_t> family, octets;
    if (!take(1, family) || (family[0] != 4 && family[0] != 6) || !take(family[0] == 4 ? 8 : 16, octets)) return false;
    uint64_t words[2] = {};
    for (size_t i = 0; i < octets.size(); ++i) words[i / 8] = words[i / 8] << 8 | octets[i];
    inet = family[0] == 4 ? base::Inet::v4(static_cast<uint32_t>(words[0] >> 32)) : base::Inet::v6(words[0], words[1]);
    return true;
  }
  size_t left() const { return octets_.size(); }

 private:
  std::span<const uint8_t> octets_;
};

tl::unexpected<base::Diagnostic> unreadable(const char* why) { return base::fail("state", why); }

}  // namespace

std::vector<uint8_t> TemplateStore::sealed(std::span<const uint8_t> content) {
  std::vector<uint8_t> out(std::begin(kMagic), std::end(kMagic));
  out.push_back(kVersion);
  out.insert(out.end(), content.begin(), content.end());
  const uint64_t sum = checksum(out);
  for (size_t i = 0; i < kChecksumOctets; ++i) out.push_back(static_cast<uint8_t>(sum >> (8 * i)));
  return out;
}

std::vector<uint8_t> TemplateStore::encode() const {
  std::vector<uint8_t> out;
  std::vector<std::pair<SenderKey, Announcements>> senders;
  for (const SenderKey& key : this->senders()) {  // In order: the same state gives the same octets.
    Announcements all = announcements_of(key);
    // An exporter may be restarted while nobody listens.
    std::erase_if(all.facts, [](const auto& fact) { return fact.first.kind == FactKind::kSystemInitTime; });
    const auto names = names_of(key);
    all.facts.insert(all.facts.end(), names.begin(), names.end());
    if (!all.templates.empty() || !all.facts.empty()) senders.emplace_back(key, std::move(all));
  }
  put_varint(out, senders.size());
  for (const auto& [key, all] : senders) {
    put_address(out, key.address);
    put_varint(out, key.port);
    put_varint(out, all.templates.size());
    for (const auto& [of, definition] : all.templates) {
      put_varint(out, of.domain);
      put_varint(out, of.version);
      put_varint(out, of.id);
      base::put_varint_signed(out, definition->refreshed_at.load(std::memory_order_relaxed));
      put_varint(out, definition->options ? definition->scope_count + 1u : 0u);
      put_varint(out, definition->fields.size());
      for (const FieldSpec& field : definition->fields) {
        put_varint(out, field.element);
        put_varint(out, field.width);
        put_varint(out, field.enterprise);
      }
    }
    put_varint(out, all.facts.size());
    for (const auto& [of, fact] : all.facts) {
      put_varint(out, of.domain);
      put_varint(out, static_cast<uint8_t>(of.kind));
      put_varint(out, of.id);
      put_varint(out, fact.number);
      put_varint(out, fact.text.size());
      out.insert(out.end(), fact.text.begin(), fact.text.end());
    }
  }
  return sealed(out);
}

base::Result<void> TemplateStore::decode(std::span<const uint8_t> octets) {
  if (octets.size() < kHeadOctets || !std::equal(std::begin(kMagic), std::end(kMagic), octets.begin()))
    return unreadable("it is no state file of exporters");
  if (octets[sizeof kMagic] < kVersionOldest || octets[sizeof kMagic] > kVersion)
    return unreadable("it is of another version of the program");
  if (octets.size() < kHeadOctets + kChecksumOctets) return unreadable("it ends early");
  uint64_t sum = 0;
  for (size_t i = 0; i < kChecksumOctets; ++i)
    sum |= static_cast<uint64_t>(octets[octets.size() - kChecksumOctets + i]) << (8 * i);
  octets = octets.first(octets.size() - kChecksumOctets);
  if (checksum(octets) != sum) return unreadable("its checksum does not fit: it was cut or changed");

  // A checksum is no signature: what follows is checked as if it came from the network.
  const auto damaged = [] { return unreadable("its content contradicts itself"); };
  std::vector<Change> all;
  Cursor in(octets.subspan(kHeadOctets));
  uint64_t senders = 0;
  if (!in.number(senders)) return damaged();
  for (uint64_t s = 0; s < senders; ++s) {
    Change change;
    uint64_t templates = 0, facts = 0;
    if (!in.address(change.sender.address) || !in.number(change.sender.port) || !in.number(templates)) return damaged();
    for (uint64_t t = 0; t < templates; ++t) {
      auto definition = std::make_shared<TemplateDefinition>();
      uint64_t refreshed = 0, kind = 0, fields = 0;
      if (!in.number(change.key.domain) || !in.number(change.key.version) || !in.number(change.key.id) ||
          !in.number(refreshed) || !in.number(kind, kTemplateFieldsMax + 1) || !in.number(fields, kTemplateFieldsMax)) {
        return damaged();
      }
      const Micros refreshed_at = base::unzigzag(refreshed);
      if (refreshed_at > kTimeMax || refreshed_at < -kTimeMax) return damaged();
      definition->refreshed_at = refreshed_at;
      definition->options = kind != 0;
      definition->scope_count = static_cast<uint16_t>(kind == 0 ? 0 : kind - 1);
      for (uint64_t f = 0; f < fields; ++f) {
        FieldSpec& field = definition->fields.emplace_back();
        if (!in.number(field.element) || !in.number(field.width) || !in.number(field.enterprise)) return damaged();
      }
      if (!can_be_template(change.key.id, *definition)) return damaged();
      change.definition = std::move(definition);
      all.push_back(change);
    }
    change.is_fact = true;
    change.definition = nullptr;
    if (!in.number(facts)) return damaged();
    for (uint64_t f = 0; f < facts; ++f) {
      uint8_t kind = 0;
      uint64_t length = 0;
      std::span<const uint8_t> text;
      if (!in.number(change.fact_key.domain) || !in.number(kind) || !in.number(change.fact_key.id) ||
          !in.number(change.fact.number) || !in.number(length, kFactTextMax) || !in.take(length, text)) {
        return damaged();
      }
      if (kind < static_cast<uint8_t>(FactKind::kSamplingRate) || kind > static_cast<uint8_t>(kFactKindLast))
        return damaged();
      change.fact_key.kind = static_cast<FactKind>(kind);
      change.fact.text.assign(text.begin(), text.end());
      all.push_back(change);
    }
  }
  if (in.left() != 0) return damaged();

  const std::lock_guard lock(mutex_);
  uint64_t nobody = UINT64_MAX;
  for (Change& change : all) {
    const auto known = senders_.find(change.sender);
    const bool name = change.is_fact && is_name(change.fact_key.kind);
    if (known != senders_.end()) {
      const Sender& sender = known->second;
      if (name             ? sender.names.contains(change.fact_key)
          : change.is_fact ? sender.facts.contains(change.fact_key)
                           : sender.templates.contains(change.key)) {
        continue;
      }
    }
    if (name) set_name_locked(change.sender, change.fact_key, change.fact, base::kMinTime);
    else if (change.is_fact) set_fact_locked(change.sender, change.fact_key, change.fact, nobody);
    else define_locked(change.sender, change.key, change.definition, nobody);
  }
  return {};
}

}  // namespace backstream::decode

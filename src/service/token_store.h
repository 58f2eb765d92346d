#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "catalog/catalog.h"
#include "config/settings.h"

namespace backstream::service {

using base::Micros;

/// BLAKE2b of a token, 32 octets. A token is 256 random bits: nobody tries them one by one, whatever a try costs, so
/// one round is enough, and a request pays a microsecond. A password, which people choose, would need Argon2id.
struct TokenHash {
  static constexpr size_t kOctets = 32;
  unsigned char octets[kOctets] = {};
  std::string hex() const;
  static std::optional<TokenHash> of_hex(std::string_view text);
};
TokenHash hash_token(std::string_view token);
/// Takes the same time whatever differs.
bool equal(const TokenHash& a, const TokenHash& b);

/// What a token is like that somebody asks for.
struct NewToken {
  std::string name;  ///< 1 to 63 letters, digits, '.', '_', '-'
  config::AccessRole role = config::AccessRole::kViewer;
  Micros lifetime_us = kTokenLifetimeUs;  ///< 1 s to kTokenLifetimeMaxUs
  std::string row_filter;                 ///< row_filter.h; only of viewers; empty: all rows

  static constexpr Micros kDayUs = Micros{86'400} * base::kMicrosPerSecond;
  static constexpr Micros kTokenLifetimeUs = 90 * kDayUs;
  static constexpr Micros kTokenLifetimeMaxUs = 732 * kDayUs;
};

/// A token as it may be shown: all but itself.
struct Token {
  std::string name;
  config::AccessRole role = config::AccessRole::kViewer;
  std::string row_filter;
  Micros created_at = 0, expires_at = 0;
  std::optional<Micros> last_used_at;  ///< known to about a minute over a crash
};

/// Tokens: objects of Kind::kToken in the catalog, of which bodies hold hashes only, and in memory, where requests ask.
/// When a token was last used is no change of the catalog: it stands in a file of its own. Any thread.
class TokenStore {
 public:
  static constexpr std::string_view kPrefix = "bst_";  ///< by which searches for leaked secrets find them
  static constexpr size_t kTokensMax = 10'000;

  /// @param catalog   must outlive the store; null: there are no tokens
  /// @param use_file  made where it is missing; empty: uses are forgotten at the end
  TokenStore(catalog::Catalog* catalog, std::string use_file);
  /// keep_use() once more.
  ~TokenStore();

  /// Reads the catalog's tokens, and when they were used. One that cannot be read opens nothing and is counted.
  /// Errors: those of the catalog; then there are none.
  base::Result<void> load();
  /// Whether the catalog has changed tokens without us, which are read again then. Errors as load(); the old ones stay.
  base::Result<void> follow();

  /// @return  the token: "bst_" and 64 hexadecimal digits. It is not kept.
  /// Errors: 22023 a name, role or time that cannot be; of the row filter as RowFilter::check(); 42710, 53400, and
  /// those of the catalog; 55000 there is no catalog.
  base::Result<std::string> create(const NewToken& wanted, const catalog::Author& author, Micros now);
  /// Errors: 42704, those of the catalog.
  base::Result<void> revoke(std::string_view name, const catalog::Author& author, Micros now);
  /// By name.
  std::vector<Token> list() const;
  std::optional<Token> find_by_name(std::string_view name) const;
  size_t size() const;

  enum class Verdict : uint8_t { kGood, kMalformed, kUnknown, kExpired };
  struct Found {
    Verdict verdict = Verdict::kUnknown;
    Token token;  ///< of kGood, and of kExpired
  };
  /// A good one counts as used now.
  Found find(std::string_view token, Micros now);

  /// Writes when tokens were used, if that changed, and at most once a minute. False: it could not be written.
  bool keep_use(Micros now, bool at_once = false);
  /// Tokens of the catalog whose bodies cannot be read.
  uint64_t unreadable() const { return unreadable_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    Token token;
    catalog::Revision incarnation;
    TokenHash hash;
    std::atomic<Micros> used_at{0};  ///< 0: never
  };
  using Entries = std::unordered_map<std::string, std::shared_ptr<Entry>>;
  using ByHash = std::unordered_multimap<uint64_t, std::shared_ptr<Entry>>;

  base::Result<void> read_catalog();
  void read_use();
  static Token shown(const Entry& entry);
  static std::string body_of(const Entry& entry);
  static std::shared_ptr<Entry> entry_of(const catalog::Object& object);

  catalog::Catalog* const catalog_;
  const std::string use_file_;
  std::atomic<uint64_t> unreadable_{0};
  std::atomic<bool> use_changed_{false};

  std::mutex change_mutex_;    // One change of tokens at a time; taken before mutex_.
  catalog::Revision read_at_;  // Guarded by change_mutex_.
  Micros use_kept_at_ = 0;     // Guarded by change_mutex_.

  mutable std::mutex mutex_;  // Of both maps; never held while the disk is waited for.
  Entries by_name_;
  ByHash by_hash_;  // By the first 64 bits of the hash.
};

}  // namespace backstream::service

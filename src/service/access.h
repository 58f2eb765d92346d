#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/published.h"
#include "base/time.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "http/message.h"
#include "http/router.h"
#include "service/refused_access.h"
#include "service/token_store.h"

namespace backstream::service {

// Roles of routes (http::Route::role); 0: nobody is asked.
inline constexpr uint32_t kViewer = static_cast<uint32_t>(config::AccessRole::kViewer);
inline constexpr uint32_t kOperator = static_cast<uint32_t>(config::AccessRole::kOperator);
inline constexpr uint32_t kAdmin = static_cast<uint32_t>(config::AccessRole::kAdmin);
/// Added to a route's role: its handler gives who has a row filter what he may see, and no more. All other routes are
/// not for him: a handler that forgets about filters shows nothing.
inline constexpr uint32_t kHeedsRowFilter = 0x100;
constexpr uint32_t role_of(uint32_t route_role) { return route_role & 0xff; }

/// How somebody was let in.
enum class SignIn : uint8_t {
  kLocal,      ///< he asks from this machine, and that is enough
  kToken,      ///< one of the catalog
  kEmergency,  ///< the token of access.admin_token_file
  kProxy,      ///< a trusted proxy says who he is
};
inline constexpr size_t kSignInCount = 4;
std::string_view name(SignIn sign_in);

/// Who asks: what http::Principal carries.
struct Identity {
  std::string name;
  config::AccessRole role = config::AccessRole::kViewer;
  std::string row_filter;            ///< row_filter.h; empty: all rows
  std::optional<Micros> expires_at;  ///< of a token
  SignIn by = SignIn::kLocal;
};
/// Null: the route asks nobody.
const Identity* identity_of(const http::Request& request);
/// For the audit: "alice", "api 192.0.2.1 by proxy".
catalog::Author author_of(const http::Request& request);

struct AccessOptions {
  catalog::Catalog* catalog = nullptr;  ///< must outlive Access; null: there are no tokens of it, and no audit
  std::string use_file;                 ///< token_store.h
  std::function<Micros()> now;          ///< empty: the clock
  RefusedAccess::Limits limits;
};

struct AccessStatus {
  AccessRefusalCounts refused{};
  std::array<uint64_t, kSignInCount> admitted{};  ///< requests, by SignIn
  size_t tokens = 0;
  uint64_t tokens_unreadable = 0;

  uint64_t of(AccessRefusal refusal) const { return refused[static_cast<size_t>(refusal)]; }
  uint64_t of(SignIn by) const { return admitted[static_cast<size_t>(by)]; }
};

/// Who may do what over HTTP (docs/security.md, docs/design/0022-access.md). Any thread.
class Access {
 public:
  /// Errors: those of configure(); those of the catalog, after which a caller may try again without it: then proxies
  /// and the emergency token still open.
  static base::Result<std::unique_ptr<Access>> open(const config::Settings& settings, AccessOptions options);

  /// Uses these settings (access.*, http.listen, the secret) from the next request on. Errors: 22023 an emergency token
  /// that can be guessed, a filter for who is no viewer; of filters as RowFilter::check(). Then the old ones stay.
  base::Result<void> configure(const config::Settings& settings);
  /// The settings alone: for `config check`.
  static base::Result<void> check(const config::Settings& settings);

  /// For http::Router::set_gate(). Must not outlive this.
  http::Gate gate();
  /// What the gate does: says who asks, in request.principal, or what is wrong: 401 (28000) not signed in, 403 (42501)
  /// not for him, 429 (28000) too many wrong tokens.
  /// @param route_role  http::Route::role
  std::optional<http::Response> admit(http::Request& request, uint32_t route_role);

  TokenStore& tokens() { return tokens_; }
  /// Whether anybody is asked who he is, wherever he asks from.
  bool is_required() const;
  AccessStatus status() const;
  Micros now() const { return now_(); }

  /// What needs the disk: the audit of refusals, when tokens were used, changes of tokens by others. Every second or
  /// so. Errors: those of the catalog; nothing has to be done about them but telling, it is tried again.
  base::Result<void> tend();

 private:
  struct Policy;
  /// Who asks, or the answer to him.
  struct Verdict {
    std::optional<Identity> identity;
    std::optional<http::Response> refused;
  };
  explicit Access(AccessOptions options);
  static base::Result<std::shared_ptr<const Policy>> policy_of(const config::Settings& settings);
  Verdict sign_in(const http::Request& request, const Policy& policy);
  Verdict sign_in_by_proxy(const http::Request& request, const Policy& policy, std::string_view user);
  Verdict sign_in_by_token(const http::Request& request, const Policy& policy);
  http::Response wrong_token(const http::Request& request, AccessRefusal why, std::string detail, std::string hint,
                             std::string_view who = {});

  catalog::Catalog* const catalog_;
  const std::function<Micros()> now_;
  TokenStore tokens_;
  RefusedAccess refused_;
  base::Published<Policy> policy_;
  std::array<std::atomic<uint64_t>, kSignInCount> admitted_{};
};

}  // namespace backstream::service

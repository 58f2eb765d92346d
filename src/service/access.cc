#include "service/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "base/prefix_set.h"
#include "base/utf8.h"
#include "config/endpoint.h"
#include "service/row_filter.h"

namespace backstream::service {

using base::fail;
using base::Result;
using config::AccessRole;
using config::AccessSubject;
using http::Request;
using http::Response;

namespace {

constexpr std::string_view kEmergencySecret = "access.admin_token";
constexpr size_t kEmergencyOctetsMin = 32;
constexpr size_t kUserOctetsMax = 127, kGroupsMax = 256;
constexpr std::string_view kSignInNames[kSignInCount] = {"local", "token", "emergency", "proxy"};
constexpr std::string_view kNotSignedIn = "28000", kNotAllowed = "42501";

bool is_loopback(const base::Inet& peer) {
  return peer.family == 4 ? base::Inet::v4(127u << 24, 8).contains_or_equals(peer) : peer == base::Inet::v6(0, 1);
}

/// Somebody passed it on, so that the peer is not who asks.
bool was_passed_on(const Request& request) {
  for (const char* header : {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
                             "X-Forwarded-User", "X-Real-IP", "Via"}) {
    if (request.headers.count(header) > 0) return true;
  }
  return false;
}

bool is_user_name(std::string_view text) {
  return !text.empty() && text.size() <= kUserOctetsMax && base::find_bad_text(text) == std::string_view::npos &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<std::string> split_groups(std::string_view list) {
  std::vector<std::string> groups;
  while (!list.empty() && groups.size() < kGroupsMax) {
    const size_t comma = list.find(',');
    if (const std::string_view group = trim(list.substr(0, comma)); !group.empty()) groups.emplace_back(group);
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return groups;
}

Response problem(uint16_t status, std::string_view code, std::string detail, std::string hint) {
  http::Problem told;
  told.status = status;
  told.code = code;
  told.detail = std::move(detail);
  told.hint = std::move(hint);
  Response response = http::respond(told);
  // RFC 6750 §3: who sent no token is not told of an error of it.
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"backstream\"");
  return response;
}

/// What settings say of subjects, by name.
template <typename T>
struct BySubject {
  std::map<std::string, T, std::less<>> users, groups;
  std::optional<T> anybody;

  void set(const AccessSubject& who, T value) {
    switch (who.kind) {
      case AccessSubject::Kind::kUser: users.insert_or_assign(who.name, std::move(value)); break;
      case AccessSubject::Kind::kGroup: groups.insert_or_assign(who.name, std::move(value)); break;
      case AccessSubject::Kind::kAnybody: anybody = std::move(value); break;
    }
  }
};

}  // namespace

std::string_view name(SignIn sign_in) { return kSignInNames[static_cast<size_t>(sign_in)]; }

const Identity* identity_of(const Request& request) {
  return static_cast<const Identity*>(request.principal.more.get());
}

catalog::Author author_of(const Request& request) {
  const Identity* identity = identity_of(request);
  if (identity == nullptr) return {"nobody", fmt::format("api {}", base::to_string(request.peer))};
  // Said by the client, and believed as far as that goes: it tells a command from a program.
  const char* const how = request.headers.find("X-Backstream-Via") == "cli" ? "cli" : "api";
  return {identity->name, fmt::format("{} {} by {}", how, base::to_string(request.peer), name(identity->by))};
}

/// What the settings say, ready to be asked. Immutable.
struct Access::Policy {
  bool required = true;
  base::PrefixSet proxies;
  std::string user_header, groups_header;
  BySubject<AccessRole> grants;
  BySubject<std::string> filters;
  std::optional<TokenHash> emergency;

  /// The user's own grant; else the highest of his groups'; else that of anybody.
  std::optional<AccessRole> role_of(std::string_view user, const std::vector<std::string>& user_groups) const {
    if (const auto own = grants.users.find(user); own != grants.users.end()) return own->second;
    std::optional<AccessRole> best;
    for (const std::string& group : user_groups) {
      const auto of_group = grants.groups.find(group);
      if (of_group != grants.groups.end() && (!best || *best < of_group->second)) best = of_group->second;
    }
    return best ? best : grants.anybody;
  }
  /// The user's own filter; else what any of his groups' lets him see; else that of anybody. A group without one does
  /// not lift those of the others.
  std::string filter_of(std::string_view user, const std::vector<std::string>& user_groups) const {
    if (const auto own = filters.users.find(user); own != filters.users.end()) return own->second;
    std::string joined;
    size_t count = 0;
    for (const std::string& group : user_groups) {
      const auto of_group = filters.groups.find(group);
      if (of_group == filters.groups.end()) continue;
      // Lines of their own: a condition may end in a comment.
      joined += fmt::format("{}(\n{}\n)", count++ == 0 ? "" : " OR ", of_group->second);
    }
    if (count > 0) return joined;
    return filters.anybody.value_or("");
  }
};

Result<std::shared_ptr<const Access::Policy>> Access::policy_of(const config::Settings& settings) {
  auto policy = std::make_shared<Policy>();
  const auto& access = settings.access;
  const auto listen = config::parse_http_endpoint(settings.http.listen);
  // Behind a proxy everybody asks from this machine, so that this proves nothing.
  policy->required = access.required || !listen || !listen->is_loopback() || !access.proxy_addresses.empty();
  policy->proxies = base::PrefixSet(access.proxy_addresses);
  policy->user_header = access.proxy_header;
  policy->groups_header = access.proxy_groups_header;
  for (const config::AccessGrant& grant : access.grants) policy->grants.set(grant.who, grant.role);
  for (const config::AccessFilter& filter : access.filters) {
    if (auto checked = RowFilter::check(filter.condition); !checked) {
      auto error = std::move(checked.error());
      error.message = fmt::format("the filter of '{}' in access.filters: {}", filter.who.text(), error.message);
      return tl::unexpected(std::move(error));
    }
    for (const config::AccessGrant& grant : access.grants) {
      if (!(grant.who == filter.who) || grant.role == AccessRole::kViewer) continue;
      return fail("22023",
                  fmt::format("'{}' is {} by access.grants and has a row filter in access.filters", grant.who.text(),
                              config::name(grant.role)),
                  {}, "who writes queries names their columns as he likes: grant viewer, or leave the filter out");
    }
    policy->filters.set(filter.who, filter.condition);
  }
  const auto secret = settings.secrets.find(kEmergencySecret);
  if (secret != settings.secrets.end() && !secret->second.value.empty()) {
    if (secret->second.value.size() < kEmergencyOctetsMin) {
      return fail("22023", fmt::format("the token in the file of {}_file is too short to be safe", kEmergencySecret),
                  {}, fmt::format("it has at least {} characters: openssl rand -hex 32 > FILE", kEmergencyOctetsMin));
    }
    policy->emergency = hash_token(secret->second.value);
  }
  return policy;
}

Access::Access(AccessOptions options)
    : catalog_(options.catalog),
      now_(options.now ? std::move(options.now) : [] { return base::wall_clock(); }),
      tokens_(options.catalog, std::move(options.use_file)),
      refused_(options.limits) {}

Result<std::unique_ptr<Access>> Access::open(const config::Settings& settings, AccessOptions options) {
  std::unique_ptr<Access> access(new Access(std::move(options)));
  if (auto configured = access->configure(settings); !configured) return tl::unexpected(std::move(configured.error()));
  if (auto loaded = access->tokens_.load(); !loaded) return tl::unexpected(std::move(loaded.error()));
  return access;
}

Result<void> Access::configure(const config::Settings& settings) {
  auto policy = policy_of(settings);
  if (!policy) return tl::unexpected(std::move(policy.error()));
  policy_.publish(std::move(*policy));
  return {};
}

Result<void> Access::check(const config::Settings& settings) {
  if (auto policy = policy_of(settings); !policy) return tl::unexpected(std::move(policy.error()));
  return {};
}

http::Gate Access::gate() {
  return [this](Request& request, uint32_t route_role) { return admit(request, route_role); };
}

bool Access::is_required() const { return policy_.snapshot()->required; }

AccessStatus Access::status() const {
  AccessStatus status;
  status.refused = refused_.counts();
  for (size_t i = 0; i < kSignInCount; ++i) status.admitted[i] = admitted_[i].load(std::memory_order_relaxed);
  status.tokens = tokens_.size();
  status.tokens_unreadable = tokens_.unreadable();
  return status;
}

std::optional<Response> Access::admit(Request& request, uint32_t route_role) {
  const auto policy = policy_.snapshot();
  Verdict verdict = sign_in(request, *policy);
  if (!verdict.identity) return std::move(verdict.refused);
  Identity& who = *verdict.identity;
  // Whoever sees some rows only is a viewer, whatever else he is granted: see row_filter.h.
  if (!who.row_filter.empty()) who.role = AccessRole::kViewer;
  if (static_cast<uint32_t>(who.role) < role_of(route_role)) {
    refused_.count(AccessRefusal::kRole, request.peer, who.name);
    return problem(403, kNotAllowed,
                   fmt::format("'{}' is {}; this is for the role {}", who.name, config::name(who.role),
                               config::name(static_cast<AccessRole>(std::min(role_of(route_role), kAdmin)))),
                   "ask an admin for a token of that role");
  }
  if (!who.row_filter.empty() && (route_role & kHeedsRowFilter) == 0) {
    refused_.count(AccessRefusal::kRowFilter, request.peer, who.name);
    return problem(403, kNotAllowed, fmt::format("'{}' sees some rows only, and this cannot be filtered", who.name),
                   "the results of registered queries can");
  }
  admitted_[static_cast<size_t>(who.by)].fetch_add(1, std::memory_order_relaxed);
  request.principal.name = who.name;
  request.principal.role = static_cast<uint32_t>(who.role);
  request.principal.more = std::make_shared<const Identity>(std::move(who));
  return std::nullopt;
}

Access::Verdict Access::sign_in(const Request& request, const Policy& policy) {
  const size_t user_headers = request.headers.count(policy.user_header);
  if (user_headers > 0 && !policy.proxies.contains(request.peer)) {
    refused_.count(AccessRefusal::kStrangeProxy, request.peer);
  } else if (user_headers > 1) {
    // One of them may be the client's own, which the proxy should have removed.
    return {
        {},
        wrong_token(request, AccessRefusal::kMalformed, fmt::format("there is more than one {}", policy.user_header),
                    "the proxy has to replace what clients send")};
  } else if (user_headers == 1) {
    const std::string_view user = trim(*request.headers.find(policy.user_header));
    if (!user.empty()) return sign_in_by_proxy(request, policy, user);
  }
  if (request.headers.count("Authorization") > 0) return sign_in_by_token(request, policy);
  if (!policy.required && is_loopback(request.peer) && user_headers == 0 && !was_passed_on(request))
    return {Identity{"local", AccessRole::kAdmin, {}, {}, SignIn::kLocal}, {}};
  refused_.count(AccessRefusal::kMissing, request.peer);
  return {{},
          problem(401, kNotSignedIn, "this needs a token", "send one as Authorization: Bearer TOKEN (--token-file)")};
}

Access::Verdict Access::sign_in_by_proxy(const Request& request, const Policy& policy, std::string_view user) {
  if (!is_user_name(user)) {
    return {{},
            wrong_token(request, AccessRefusal::kMalformed,
                        fmt::format("what {} says is no name of a user", policy.user_header),
                        fmt::format("1 to {} octets of UTF-8", kUserOctetsMax))};
  }
  std::vector<std::string> groups;
  if (!policy.groups_header.empty()) groups = split_groups(request.headers.list(policy.groups_header));
  const auto role = policy.role_of(user, groups);
  if (!role) {
    refused_.count(AccessRefusal::kNoRole, request.peer, user);
    return {{},
            problem(403, kNotAllowed, fmt::format("'{}' has no role here", user),
                    "access.grants gives roles to users and groups")};
  }
  return {Identity{std::string(user), *role, policy.filter_of(user, groups), {}, SignIn::kProxy}, {}};
}

Access::Verdict Access::sign_in_by_token(const Request& request, const Policy& policy) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view header = *request.headers.find("Authorization");
  const bool is_bearer = request.headers.count("Authorization") == 1 && header.size() > kScheme.size() &&
                         http::equal_ignoring_case(header.substr(0, kScheme.size()), kScheme);
  if (!is_bearer) {
    return {{},
            wrong_token(request, AccessRefusal::kMalformed, "the Authorization is no token",
                        "send one as Authorization: Bearer TOKEN")};
  }
  const std::string_view token = trim(header.substr(kScheme.size()));
  // First, and without the catalog: it is for when that is in trouble.
  if (policy.emergency && equal(*policy.emergency, hash_token(token)))
    return {Identity{"emergency", AccessRole::kAdmin, {}, {}, SignIn::kEmergency}, {}};
  TokenStore::Found found = tokens_.find(token, now_());
  switch (found.verdict) {
    case TokenStore::Verdict::kGood:
      return {
          Identity{found.token.name, found.token.role, found.token.row_filter, found.token.expires_at, SignIn::kToken},
          {}};
    case TokenStore::Verdict::kExpired:
      return {{},
              wrong_token(request, AccessRefusal::kExpired,
                          fmt::format("the token '{}' expired at {}", found.token.name,
                                      base::format_rfc3339(found.token.expires_at)),
                          "ask an admin for a new one", found.token.name)};
    case TokenStore::Verdict::kMalformed:
    case TokenStore::Verdict::kUnknown: break;
  }
  const bool malformed = found.verdict == TokenStore::Verdict::kMalformed;
  return {{},
          wrong_token(request, malformed ? AccessRefusal::kMalformed : AccessRefusal::kUnknown,
                      "this token opens nothing here", "it was revoked, belongs to another server, or was cut")};
}

Response Access::wrong_token(const Request& request, AccessRefusal why, std::string detail, std::string hint,
                             std::string_view who) {
  if (refused_.count_failure(why, request.peer, now_(), who)) {
    Response response = problem(401, kNotSignedIn, std::move(detail), std::move(hint));
    response.headers.set("WWW-Authenticate", "Bearer realm=\"backstream\", error=\"invalid_token\"");
    return response;
  }
  Response response = problem(429, kNotSignedIn, "too many wrong tokens came from this address", "wait a little");
  response.headers.set("Retry-After", "10");
  return response;
}

Result<void> Access::tend() {
  const Micros now = now_();
  Result<void> result = tokens_.follow();
  tokens_.keep_use(now);
  const std::vector<catalog::Change> notes = refused_.take_notes(now);
  if (notes.empty()) return result;
  if (catalog_ == nullptr) {
    refused_.lost_notes();
    return result;
  }
  const auto told = catalog_->apply(notes, {"nobody", "api"}, now);
  if (!told) {
    refused_.lost_notes();
    return tl::unexpected(told.error());
  }
  return result;
}

}  // namespace backstream::service

// Webhooks and Alertmanager: JSON by POST, by libcurl.
#include <curl/curl.h>
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>

#include "alert/sender.h"

namespace backstream::alert {
namespace {

constexpr size_t kAnswerOctetsMax = 1'000;
/// Alertmanager forgets what is not sent again: three repeats may be lost before it says "resolved" by itself.
constexpr Micros kRepeat = 60 * base::kMicrosPerSecond;
constexpr Micros kHold = 4 * kRepeat;

/// libcurl once for the process, before any thread of ours uses it.
void begin_curl() {
  static const CURLcode kBegun = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kBegun != CURLE_OK || sodium_init() < 0) throw std::runtime_error("libcurl or libsodium cannot be initialised");
}

std::string hmac_sha256_hex(std::string_view key, std::string_view body) {
  crypto_auth_hmacsha256_state state;
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> mac{};
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(body.data()), body.size());
  crypto_auth_hmacsha256_final(&state, mac.data());
  std::string hex;
  for (const unsigned char octet : mac) hex += fmt::format("{:02x}", octet);
  return hex;
}

size_t take_answer(const char* octets, size_t size, size_t count, void* to) {
  auto& answer = *static_cast<std::string*>(to);
  // What is more is read and forgotten: an endpoint must not fill our memory.
  answer.append(octets, std::min(size * count, kAnswerOctetsMax - std::min(answer.size(), kAnswerOctetsMax)));
  return size * count;
}

/// libcurl asks about once a second. @return  not 0: enough
int ask_cancelled(void* cancelled, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(cancelled)->load(std::memory_order_relaxed) ? 1 : 0;
}

/// POSTs to one URL. Connections are kept between calls.
class HttpPost {
 public:
  /// @param cancelled  must outlive this
  HttpPost(const config::NotifySettings& settings, std::string url, std::atomic<bool>& cancelled)
      : settings_(settings), url_(std::move(url)), cancelled_(cancelled) {
    begin_curl();
    curl_ = curl_easy_init();
    if (curl_ == nullptr) throw std::runtime_error("libcurl has no memory");
  }
  ~HttpPost() { curl_easy_cleanup(curl_); }
  HttpPost(const HttpPost&) = delete;
  HttpPost& operator=(const HttpPost&) = delete;

  Attempt post(const std::string& body, const std::string& id) {
    curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
    const auto add = [&](const std::string& header) { headers = curl_slist_append(headers, header.c_str()); };
    add("Expect:");  // No round trip before the body.
    if (!id.empty()) add("X-Backstream-Notice: " + id);
    if (!settings_.secret.value.empty()) {
      add(settings_.auth == config::NotifySettings::Auth::kBearer
              ? "Authorization: Bearer " + settings_.secret.value
              : "X-Backstream-Signature: sha256=" + hmac_sha256_hex(settings_.secret.value, body));
    }
    for (const std::string& header : settings_.headers) add(header);
    std::string answer;
    std::array<char, CURL_ERROR_SIZE> error{};
    curl_easy_reset(curl_);
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);  // A secret goes where the settings say, and nowhere else.
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(settings_.timeout_us / base::kMicrosPerMilli));
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    set(CURLOPT_WRITEFUNCTION, take_answer);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&answer));
    set(CURLOPT_ERRORBUFFER, error.data());
    set(CURLOPT_USERAGENT, "backstream");
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, ask_cancelled);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&cancelled_));
    if (settings_.trust_any) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    const CURLcode code = curl_easy_perform(curl_);
    curl_slist_free_all(headers);
    if (code != CURLE_OK) {
      const bool hopeless = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
      return {hopeless ? Attempt::Result::kRefused : Attempt::Result::kRetry,
              error[0] != '\0' ? error.data() : curl_easy_strerror(code)};
    }
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) return {};
    // RFC 9110 §15.5: a fault of what was sent; but 408, 425 and 429 are about the moment.
    const bool refused = status >= 300 && status < 500 && status != 408 && status != 425 && status != 429;
    return {refused ? Attempt::Result::kRefused : Attempt::Result::kRetry,
            answer.empty() ? fmt::format("it answered {}", status) : fmt::format("it answered {}: {}", status, answer)};
  }

 private:
  template <typename T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(curl_, option, value);
  }

  const config::NotifySettings settings_;
  const std::string url_;
  std::atomic<bool>& cancelled_;
  CURL* curl_ = nullptr;
};

class Webhook final : public Sender {
 public:
  Webhook(const config::NotifySettings& settings, BodyTemplate body)
      : post_(settings, settings.to, cancelled_), body_(std::move(body)) {}
  Attempt send(std::span<const Json> notices) override {
    return post_.post(body_.fill(notices[0]), notices[0]["id"].get<std::string>());
  }

 private:
  HttpPost post_;
  const BodyTemplate body_;
};

class Alertmanager final : public Sender {
 public:
  explicit Alertmanager(const config::NotifySettings& settings) : post_(settings, url_of(settings.to), cancelled_) {}
  size_t batch_max() const override { return 100; }
  Micros repeat_us() const override { return kRepeat; }
  Attempt send(std::span<const Json> notices) override {
    Json alerts = Json::array();
    for (const Json& notice : notices) alerts.push_back(alertmanager_alert(notice, base::wall_clock() + kHold));
    return post_.post(alerts.dump(-1, ' ', false, Json::error_handler_t::replace), {});
  }

 private:
  static std::string url_of(std::string to) {
    while (to.ends_with('/')) to.pop_back();
    return to + "/api/v2/alerts";
  }
  HttpPost post_;
};

}  // namespace

base::Result<std::unique_ptr<Sender>> make_webhook(const config::NotifySettings& settings) {
  auto body = BodyTemplate::make(settings.body);
  if (!body) {
    body.error().message = fmt::format("notify.{}.body: {}", settings.name, body.error().message);
    return tl::unexpected(std::move(body.error()));
  }
  return std::make_unique<Webhook>(settings, std::move(*body));
}

std::unique_ptr<Sender> make_alertmanager(const config::NotifySettings& settings) {
  return std::make_unique<Alertmanager>(settings);
}

base::Result<std::unique_ptr<Sender>> make_sender(const config::NotifySettings& settings) {
  switch (settings.type) {
    case config::NotifySettings::Type::kWebhook: return make_webhook(settings);
    case config::NotifySettings::Type::kAlertmanager: return make_alertmanager(settings);
    case config::NotifySettings::Type::kSyslog: return make_syslog(settings);
    case config::NotifySettings::Type::kScript: break;
  }
  return make_script(settings);
}

}  // namespace backstream::alert

#pragma once
// A notice: what is told of a key that fires or has ended. One JSON document, and what endpoints of other kinds make of
// it.
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "alert/rule_states.h"
#include "base/diagnostic.h"

namespace backstream::alert {

using Json = nlohmann::ordered_json;

/// What a notice is made of besides the state of its key.
struct NoticeFacts {
  std::string rule, severity, threshold, value_column, summary;
  std::vector<std::string> key_columns;
  std::vector<std::pair<std::string, std::string>> labels;
  uint32_t version = 0;
  uint64_t incarnation = 0;  ///< of the rule
  std::string sampling;      ///< "1:1000"; empty: unknown
  std::string link;          ///< "https://noc.example"; without a slash at the end
};

/// Tells a key of a rule from all others, and each time that it fires from the others: the same after a restart. 16 hex
/// digits. Repeats of a notice have the same `id`, which is this and the state.
std::string alert_id(const NoticeFacts& facts, const KeyState& key);

enum class NoticeState : uint8_t { kFiring, kResolved, kTest };
/// The document, version 1 (docs/alerts.md).
/// @param at  kResolved: when it ended, event time
Json notice_json(const NoticeFacts& facts, const KeyState& key, NoticeState state, Micros at);
/// The key as people read it: "src_ip=192.0.2.1, port=53". Nothing in it moves a terminal's cursor.
std::string key_text(const std::vector<std::string>& columns, std::string_view key);

/// The body of a webhook: of a template, with its places filled. A place stands within the texts of the template and is
/// written ${member} or ${member.member}; a text that is one place and nothing else becomes its value, of whatever
/// type.
/// `$$` is a dollar sign. What a notice holds can never change the form of the body.
class BodyTemplate {
 public:
  /// @param text  a JSON object, "chat" for {"text": …}, or empty for the notice itself. Errors: "config".
  static base::Result<BodyTemplate> make(std::string_view text);
  std::string fill(const Json& notice) const;

 private:
  Json form_;  ///< null: the notice itself
  bool for_chat_ = false;
};

/// An alert of Alertmanager's API v2. Labels are the identity, so nothing that changes stands among them.
/// @param ends_at  of one that fires: until when it does unless it is sent again
Json alertmanager_alert(const Json& notice, Micros ends_at);
/// A message of RFC 5424, without framing.
/// @param sent_at  wall clock
std::string syslog_message(const Json& notice, std::string_view host, Micros sent_at);
/// FastNetMon's arguments of a notify script: address, "incoming" or "outgoing", value, "ban" or "unban".
std::vector<std::string> script_arguments(const Json& notice);

}  // namespace backstream::alert

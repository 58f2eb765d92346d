#pragma once
// A reader of the text exposition format that takes nothing which the format does not have, for tests of pages.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace backstream::telemetry {

struct ReadPage {
  struct Family {
    std::string type, help;
    std::set<std::string> label_names;  ///< but "le"
  };
  std::map<std::string, Family> families;
  std::map<std::string, double> values;  ///< by series as it is written: name{label="value"}
  std::vector<std::string> faults;       ///< what is wrong, a line each

  double value(const std::string& series) const {
    const auto at = values.find(series);
    return at == values.end() ? -1e300 : at->second;
  }
};

class PageReader {
 public:
  static ReadPage read(std::string_view text) {
    PageReader reader;
    if (!text.empty() && text.back() != '\n') reader.fault("the last line does not end", "");
    while (!text.empty()) {
      const size_t end = text.find('\n');
      reader.line(std::string(text.substr(0, end)));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    reader.end_family();
    return reader.page_;
  }

 private:
  void fault(const std::string& what, const std::string& line) { page_.faults.push_back(what + ": " + line); }

  static bool name_of(std::string_view text, size_t& at, bool colons) {
    const size_t begin = at;
    while (at < text.size()) {
      const char c = text[at];
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':');
      if (!letter && !(at > begin && c >= '0' && c <= '9')) break;
      ++at;
    }
    return at > begin;
  }

  void line(const std::string& text) {
    if (text.starts_with("# HELP ") || text.starts_with("# TYPE ")) return comment(text);
    size_t at = 0;
    if (!name_of(text, at, true)) return fault("no name", text);
    const std::string name = text.substr(0, at);
    const std::string_view suffix = suffix_of(name);
    std::map<std::string, std::string> labels;
    if (at < text.size() && text[at] == '{' && !read_labels(text, at, labels)) return fault("labels", text);
    const std::string series = text.substr(0, at);
    if (at >= text.size() || text[at] != ' ') return fault("no value", text);
    const std::string number = text.substr(at + 1);
    double value = 0;
    if (!number_of(number, value)) return fault("no number", text);
    if (!page_.values.emplace(series, value).second) fault("twice", text);
    take(suffix, labels, value, text);
  }

  void comment(const std::string& text) {
    size_t at = 7;
    if (!name_of(text, at, true)) return fault("no name", text);
    const std::string name = text.substr(7, at - 7);
    if (at >= text.size() || text[at] != ' ') return fault("nothing after the name", text);
    if (text[2] == 'H') {
      end_family();
      if (!page_.families.emplace(name, ReadPage::Family{"", text.substr(at + 1), {}}).second) fault("twice", text);
      current_ = name;
      return;
    }
    const std::string type = text.substr(at + 1);
    if (name != current_ || !page_.families[name].type.empty()) return fault("TYPE out of place", text);
    if (type != "counter" && type != "gauge" && type != "histogram") return fault("no type", text);
    if ((type == "counter") != name.ends_with("_total")) fault("_total", text);
    page_.families[name].type = type;
  }

  std::string_view suffix_of(const std::string& name) const {
    if (current_.empty() || !name.starts_with(current_)) return "?";
    return std::string_view(name).substr(current_.size());
  }

  static bool read_labels(const std::string& text, size_t& at, std::map<std::string, std::string>& labels) {
    do {
      ++at;
      const size_t begin = at;
      if (!name_of(text, at, false)) return false;
      const std::string name = text.substr(begin, at - begin);
      if (name.starts_with("__") || text.compare(at, 2, "=\"") != 0) return false;
      at += 2;
      std::string value;
      while (at < text.size() && text[at] != '"') {
        if (text[at] == '\\') {
          ++at;
          if (at >= text.size() || (text[at] != '\\' && text[at] != '"' && text[at] != 'n')) return false;
          value += text[at] == 'n' ? '\n' : text[at];
        } else {
          value += text[at];
        }
        ++at;
      }
      if (at >= text.size() || !labels.emplace(name, value).second) return false;
      ++at;
    } while (at < text.size() && text[at] == ',');
    return at < text.size() && text[at++] == '}';
  }

  static bool number_of(const std::string& text, double& value) {
    if (text == "NaN" || text == "+Inf" || text == "-Inf") return true;
    if (text.empty() || text.find_first_not_of("0123456789+-.e") != std::string::npos) return false;
    char* end = nullptr;
    value = std::strtod(text.c_str(), &end);
    return *end == '\0';
  }

  void take(std::string_view suffix, std::map<std::string, std::string> labels, double value, const std::string& text) {
    if (current_.empty()) return fault("series before a family", text);
    ReadPage::Family& family = page_.families[current_];
    const bool bucket = family.type == "histogram" && suffix == "_bucket";
    if (family.type == "counter" && !(value >= 0)) fault("a counter below 0", text);
    if (family.type == "histogram" ? suffix != "_bucket" && suffix != "_sum" && suffix != "_count" : !suffix.empty())
      fault("of another family", text);
    if (labels.contains("le") != bucket) fault("le", text);
    const std::string bound = bucket ? labels["le"] : "";
    labels.erase("le");
    for (const auto& label : labels) family.label_names.insert(label.first);
    Buckets& buckets = buckets_[labels];
    if (bucket) {
      const double number = bound == "+Inf" ? 1e300 : std::strtod(bound.c_str(), nullptr);
      if (number <= buckets.bound || value < buckets.count) fault("buckets do not grow", text);
      buckets.bound = number;
      buckets.count = value;
    }
    if (suffix == "_count") {
      if (buckets.bound != 1e300 || buckets.count != value) fault("_count is not the last bucket", text);
      buckets.complete = true;
    }
  }

  void end_family() {
    if (!current_.empty() && page_.families[current_].type.empty()) fault("no TYPE", current_);
    if (!current_.empty() && page_.families[current_].type == "histogram") {
      for (const auto& [labels, buckets] : buckets_) {
        if (!buckets.complete) fault("a histogram without _count", current_);
      }
    }
    buckets_.clear();
  }

  struct Buckets {
    double bound = -1e300, count = 0;
    bool complete = false;
  };
  ReadPage page_;
  std::string current_;
  std::map<std::map<std::string, std::string>, Buckets> buckets_;
};

}  // namespace backstream::telemetry

#include "slt_file.h"

#include <algorithm>
#include <charconv>

namespace backstream::slt {
namespace {

struct Line {
  std::string_view text;
  size_t number;
  uint32_t offset;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    lines.push_back({line, lines.size() + 1, static_cast<uint32_t>(at)});
    at = end + 1;
  }
  return lines;
}

/// Takes the first word off.
std::string_view take_word(std::string_view& text) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const size_t end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

bool parse_number(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

/// Empty when the directive is right; otherwise what is wrong with it.
std::string parse_directive(std::string_view rest, Block& block) {
  const std::string_view verb = take_word(rest);
  if (verb == "statement") {
    block.kind = Block::Kind::kStatement;
    const std::string_view what = take_word(rest);
    if (what == "ok") return rest.empty() ? "" : "nothing follows 'statement ok'";
    if (what != "error") return "'statement ok' or 'statement error <regex>'";
    block.pattern = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
    return block.pattern.empty() ? "an error needs a regex" : "";
  }
  if (verb == "query" || verb == "results") {
    block.kind = verb == "query" ? Block::Kind::kQuery : Block::Kind::kResults;
    if (block.kind == Block::Kind::kResults) block.name = take_word(rest);
    block.types = take_word(rest);
    if (block.types.empty() || block.types.find_first_not_of("IRBT") != std::string::npos) {
      return "column types are letters of I, R, B, T";
    }
    for (std::string_view option = take_word(rest); !option.empty(); option = take_word(rest)) {
      if (option == "nosort") block.sorted = false;
      else if (option == "revisions") block.revisions = true;
      else if (option == "rewritten") block.rewritten = true;
      else return "unknown option '" + std::string(option) + "'";
    }
    return "";
  }
  if (verb == "feed") {
    block.kind = Block::Kind::kFeed;
    block.name = take_word(rest);
    if (block.name.empty()) return "feed needs a table";
    const std::string_view word = take_word(rest);
    int64_t edge = -1;
    if (!word.empty() && (word != "edge" || !parse_number(take_word(rest), edge) || edge < 0 || edge > 1000)) {
      return "'feed <table> [edge N]'";
    }
    block.edge = static_cast<int>(edge);
    return "";
  }
  if (verb == "ledger") {
    block.kind = Block::Kind::kLedger;
    std::vector<std::string_view> words;
    for (std::string_view word = take_word(rest); !word.empty(); word = take_word(rest)) words.push_back(word);
    if (words.size() % 2 != 0) {
      block.name = words.front();
      words.erase(words.begin());
    }
    if (words.empty()) return "'ledger [<view>] <counter> N ...'";
    for (size_t i = 0; i < words.size(); i += 2) {
      int64_t value = 0;
      if (!parse_number(words[i + 1], value)) return "'" + std::string(words[i + 1]) + "' is no number";
      block.counters.emplace_back(words[i], value);
    }
    return "";
  }
  if (verb == "windows") {
    block.kind = Block::Kind::kWindows;
    block.name = take_word(rest);
    return rest.empty() ? "" : "'windows [<view>]'";
  }
  if (verb == "fails") {
    block.kind = Block::Kind::kFails;
    block.pattern = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
    return block.pattern.empty() ? "a failure needs a regex" : "";
  }
  if (verb == "reset") {
    block.kind = Block::Kind::kReset;
    return rest.empty() ? "" : "nothing follows 'reset'";
  }
  return "unknown directive '" + std::string(verb) + "'";
}

}  // namespace

base::Result<std::vector<Block>> parse_slt(std::string_view text, std::string_view source_name) {
  const std::vector<Line> lines = lines_of(text);
  std::vector<Block> blocks;
  const auto refuse = [&](const Line& line, std::string message) {
    auto failure = base::fail("slt", std::move(message), {line.offset, static_cast<uint32_t>(line.text.size())});
    base::locate(failure.value(), source_name, text);
    return failure;
  };
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].text.empty() || lines[i].text[0] == '#') continue;
    const Line& directive = lines[i];
    Block block{};
    block.line = directive.number;
    if (std::string wrong = parse_directive(directive.text, block); !wrong.empty()) return refuse(directive, wrong);
    bool rows = block.kind == Block::Kind::kFeed;
    const bool takes_sql = block.kind == Block::Kind::kStatement || block.kind == Block::Kind::kQuery;
    const bool takes_rows = block.kind == Block::Kind::kResults || block.kind == Block::Kind::kWindows;
    const bool takes_lines = rows || takes_sql || takes_rows;
    for (; i + 1 < lines.size() && !lines[i + 1].text.empty(); ++i) {
      const Line& line = lines[i + 1];
      if (!takes_lines) {
        if (line.text[0] == '#' || block.kind == Block::Kind::kLedger)
          break;  // directives of one line may stand together
        return refuse(line, "an empty line ends a block");
      }
      if (line.text == "----" && block.kind != Block::Kind::kFeed && !block.has_expected) {
        block.has_expected = rows = true;
      } else if (rows) {
        block.rows.emplace_back(line.text);
        block.row_lines.push_back(line.number);
      } else if (takes_rows) {
        return refuse(line, "rows come after a line '----'");
      } else {
        block.sql.append(block.sql.empty() ? "" : "\n").append(line.text);
      }
    }
    if (takes_sql && block.sql.empty()) return refuse(directive, "there is no SQL");
    if ((block.kind == Block::Kind::kQuery || takes_rows) && !block.has_expected) {
      return refuse(directive, "there is no line '----'");
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::vector<Field> split_row(std::string_view row) {
  std::vector<Field> fields;
  for (size_t at = 0; at < row.size();) {
    if (row[at] == ' ' || row[at] == '\t') {
      ++at;
      continue;
    }
    Field field;
    if (row[at] == '\'') {
      field.quoted = true;
      for (++at; at < row.size(); ++at) {
        if (row[at] != '\'') {
          field.text += row[at];
        } else if (at + 1 < row.size() && row[at + 1] == '\'') {
          field.text += row[++at];
        } else {
          ++at;
          break;
        }
      }
    } else {
      while (at < row.size() && row[at] != ' ' && row[at] != '\t') field.text += row[at++];
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string write_field(std::string_view text) {
  const bool plain = !text.empty() && text != "NULL" && text.find_first_of(" \t\n'") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted += '\'';
}

}  // namespace backstream::slt

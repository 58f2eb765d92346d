#include "app/shell/line_editor.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cwchar>

#include "app/shell/display_text.h"
#include "app/shell/history_file.h"
#include "app/shell/terminal.h"
#include "app/stop_signal.h"

namespace backstream::app::shell {
namespace {

constexpr int kPollMs = 200;
constexpr size_t kCandidatesShown = 200;

/// As many columns as fit, sorted downwards, as shells list names.
std::string candidate_list(const std::vector<std::string>& candidates, size_t screen_columns) {
  const size_t count = std::min(candidates.size(), kCandidatesShown);
  std::vector<std::string> names;
  size_t width = 1;
  for (size_t i = 0; i < count; ++i) {
    names.push_back(cut_to(printable(candidates[i]), std::max<size_t>(screen_columns, 3) - 1));
    width = std::max(width, width_of(names.back()) + 2);
  }
  const size_t columns = std::max<size_t>(1, screen_columns / width), lines = (count + columns - 1) / columns;
  std::string text;
  for (size_t line = 0; line < lines; ++line) {
    for (size_t i = line; i < count; i += lines) {
      text += names[i];
      if (i + lines < count) text.append(width - width_of(names[i]), ' ');
    }
    text += '\n';
  }
  if (candidates.size() > count) text += fmt::format("… and {} more\n", candidates.size() - count);
  return text;
}

}  // namespace

class LineEditor::Impl {
 public:
  explicit Impl(const std::string& history_path) : file_(history_path) {
    editor_ = el_init("backstream", stdin, stdout, stderr);
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, static_cast<int>(HistoryFile::kEntriesMax));
    history(history_, &event, H_SETUNIQUE, 1);  // The same twice in a row is one entry.
    for (const std::string& entry : file_.load()) history(history_, &event, H_ENTER, entry.c_str());

    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_SIGNAL, 0);
    el_set(editor_, EL_PROMPT, &Impl::prompt_of);
    el_set(editor_, EL_GETCFN, &Impl::next_character);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    el_set(editor_, EL_ADDFN, "backstream-complete", "completes a word", &Impl::tab);
    el_set(editor_, EL_BIND, "^I", "backstream-complete", nullptr);
    el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(editor_, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
    el_set(editor_, EL_BIND, "\\e[1~", "ed-move-to-beg", nullptr);
    el_set(editor_, EL_BIND, "\\e[4~", "ed-move-to-end", nullptr);
    el_source(editor_, nullptr);
  }
  ~Impl() {
    history_end(history_);
    el_end(editor_);
  }

  Outcome read(const std::string& prompt, std::string& line) {
    prompt_ = prompt;
    interrupted_ = false;
    int count = 0;
    const char* const text = el_gets(editor_, &count);
    if (interrupted_) {
      std::fputs("^C\n", stdout);
      std::fflush(stdout);
      el_reset(editor_);
      clear_interrupt();
      return Outcome::kInterrupted;
    }
    if (text == nullptr || count <= 0 || ended_) {
      std::fputs("\n", stdout);
      std::fflush(stdout);
      return Outcome::kEnd;
    }
    line.assign(text, static_cast<size_t>(count));
    if (line.ends_with('\n')) line.pop_back();
    return Outcome::kLine;
  }

  bool remember(const std::string& entry) {
    HistEvent event;
    history(history_, &event, H_ENTER, entry.c_str());
    if (file_.append(entry) || file_failed_) return true;
    file_failed_ = true;
    return false;
  }

  std::function<Completion(std::string_view, std::string_view)> complete_;

 private:
  static Impl& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }
  static char* prompt_of(EditLine* editor) { return of(editor).prompt_.data(); }

  /// In place of libedit's own: it must hear of Ctrl-C, of a new size of the screen, and of SIGTERM.
  static int next_character(EditLine* editor, wchar_t* character) {
    Impl& self = of(editor);
    std::mbstate_t state = {};
    for (int octets = 0; octets < 4;) {
      char octet = 0;
      if (!self.wait_for_octet()) return self.interrupted_ ? -1 : 0;
      const ssize_t got = ::read(STDIN_FILENO, &octet, 1);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) {
        self.ended_ = true;
        return 0;
      }
      ++octets;
      const size_t used = std::mbrtowc(character, &octet, 1, &state);
      if (used == static_cast<size_t>(-2)) continue;
      if (used == static_cast<size_t>(-1)) {  // No UTF-8: typed on another terminal than was said.
        *character = L'?';
        return 1;
      }
      if (used == 0) *character = L'\0';
      return 1;
    }
    *character = L'?';
    return 1;
  }
  bool wait_for_octet() {
    while (true) {
      if (interrupted()) {
        interrupted_ = true;
        return false;
      }
      if (stop_requested()) {
        ended_ = true;
        return false;
      }
      if (take_resize()) el_resize(editor_);
      pollfd ready{STDIN_FILENO, POLLIN, 0};
      if (::poll(&ready, 1, kPollMs) > 0) return true;
    }
  }

  static unsigned char tab(EditLine* editor, int) { return of(editor).complete_word(); }
  unsigned char complete_word() {
    const LineInfo* const info = el_line(editor_);
    const std::string before(info->buffer, info->cursor), after(info->cursor, info->lastchar);
    if (!complete_) return CC_ERROR;
    const Completion found = complete_(before, after);
    if (found.candidates.empty()) return CC_ERROR;
    const std::string word = before.substr(std::min(found.from, before.size()));
    std::string inserted = common_begin(found.candidates);
    const bool one = found.candidates.size() == 1;
    if (one && !found.is_path && !inserted.ends_with('(') && !inserted.ends_with('=')) inserted += ' ';
    // The case of what was typed may differ: it is replaced. Never by less.
    if (inserted.size() > word.size() || (one && inserted != word)) {
      el_deletestr(editor_, static_cast<int>(characters(word)));
      return el_insertstr(editor_, inserted.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    if (one) return CC_NORM;
    const std::string list = candidate_list(found.candidates, screen_size(STDOUT_FILENO).columns);
    std::fputs("\n", stdout);
    std::fputs(list.c_str(), stdout);
    std::fflush(stdout);
    return CC_REDISPLAY;
  }
  static size_t characters(std::string_view text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  }

  HistoryFile file_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  bool interrupted_ = false, ended_ = false, file_failed_ = false;
};

LineEditor::LineEditor(const std::string& history_path) : impl_(std::make_unique<Impl>(history_path)) {}
LineEditor::~LineEditor() = default;
LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) { return impl_->read(prompt, line); }
bool LineEditor::remember(const std::string& entry) { return impl_->remember(entry); }
void LineEditor::on_tab(std::function<Completion(std::string_view, std::string_view)> complete) {
  impl_->complete_ = std::move(complete);
}

}  // namespace backstream::app::shell

#include "sink/file_target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "receiver/part_text.h"

namespace backstream::sink {

using base::fail;
using receiver::Marks;

namespace {

constexpr std::string_view kUnfinished = ".part";
constexpr size_t kPlaceOctetsMax = 4'096;

/// As of base::file_failed(), told from each other: no room is nothing that a person has to mend here.
tl::unexpected<base::Diagnostic> failed(const char* what, const std::string& path) {
  const int error = errno;
  auto diagnostic = base::file_failed(what, path);
  auto told = std::move(diagnostic.value());
  told.code = error == ENOSPC || error == EDQUOT || error == EFBIG  ? "53100"
              : error == EACCES || error == EPERM || error == EROFS ? "42501"
                                                                    : "58030";
  return tl::unexpected(std::move(told));
}

/// "20261127T120000Z".
std::string compact(Micros time) {
  std::string text = base::format_rfc3339(time - time % base::kMicrosPerSecond);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

std::optional<uint64_t> octets_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace

FileTarget::FileTarget(FileTargetOptions options, Micros (*clock)()) : options_(std::move(options)), clock_(clock) {}

std::string FileTarget::path(std::string_view name) const { return fmt::format("{}/{}", options_.folder, name); }

Result<FileTarget::Place> FileTarget::read_place() const {
  const std::string from = path(options_.name + ".place");
  std::ifstream in(from, std::ios::binary);
  if (!in) {
    if (errno == ENOENT) return Place{};
    return failed("read", from);
  }
  std::string text(kPlaceOctetsMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  Place place;
  try {
    place.seq = json.at("seq").get<uint64_t>();
    place.file = json.at("file").get<std::string>();
    place.octets = json.at("octets").get<uint64_t>();
    place.begun_at = json.at("begun_at").get<Micros>();
  } catch (const nlohmann::json::exception&) {
    return fail("58030", fmt::format("'{}' does not say how far the files are", from), {},
                "move the sink's files away, and remove it: the sink begins anew with what history has");
  }
  return place;
}

Result<void> FileTarget::write_place() {
  const nlohmann::json json = {
      {"seq", place_.seq}, {"file", place_.file}, {"octets", place_.octets}, {"begun_at", place_.begun_at}};
  const std::string text = json.dump() + '\n';
  const std::string to = path(options_.name + ".place");
  if (base::write_atomically(to, {reinterpret_cast<const uint8_t*>(text.data()), text.size()})) return {};
  return failed("write", to);
}

Result<uint64_t> FileTarget::open() {
  file_ = {};
  auto place = read_place();
  if (!place) return tl::unexpected(std::move(place.error()));
  place_ = std::move(*place);
  if (place_.file.empty()) return place_.seq;
  const std::string whole = path(place_.file), unfinished = whole + std::string(kUnfinished);
  const auto there = octets_of(unfinished);
  // It was whole already, and the process ended before it could say so; or somebody has taken it.
  if (!there || *there < place_.octets) {
    if (there || !octets_of(whole)) ++files_missed_;
    place_.file.clear();
    if (auto written = write_place(); !written) return tl::unexpected(std::move(written.error()));
    return place_.seq;
  }
  if (*there > place_.octets && ::truncate(unfinished.c_str(), static_cast<off_t>(place_.octets)) != 0)
    return failed("cut", unfinished);
  if (options_.format == FileTargetOptions::Format::kCsv) {
    std::ifstream in(unfinished, std::ios::binary);
    if (!std::getline(in, header_)) return failed("read", unfinished);
    header_ += '\n';
  }
  file_ = base::File(unfinished, O_WRONLY | O_APPEND);
  if (file_.get() < 0) return failed("write", unfinished);
  return place_.seq;
}

std::string FileTarget::name_of(const ResultPart& first, std::string_view mark) const {
  return fmt::format("{}-{}-{}{}.{}", options_.name, compact(clock_()), mark, first.seq,
                     options_.format == FileTargetOptions::Format::kCsv ? "csv" : "jsonl");
}

std::string FileTarget::header(const ResultForm& form) const {
  return options_.format == FileTargetOptions::Format::kCsv ? receiver::csv_header(form, Marks::kAll) : "";
}

void FileTarget::append(std::string& text, const ResultPart& part) const {
  if (options_.format == FileTargetOptions::Format::kCsv) receiver::append_csv(text, part, Marks::kAll);
  else receiver::append_jsonl(text, part, Marks::kAll);
}

Result<void> FileTarget::begin_file(const ResultPart& first) {
  const std::string name = name_of(first, "");
  const std::string unfinished = path(name) + std::string(kUnfinished);
  base::File file(unfinished, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return failed("write", unfinished);
  base::sync_folder_of(unfinished);
  file_ = std::move(file);
  place_.file = name;
  place_.octets = 0;
  place_.begun_at = clock_();
  header_ = header(*first.form);
  return write(header_);
}

Result<void> FileTarget::write(std::string_view text) {
  if (!base::write_all(file_.get(), text)) return failed("write", path(place_.file));
  place_.octets += text.size();
  return {};
}

/// The file is whole, as far as place_ says.
Result<void> FileTarget::end_file() {
  const std::string whole = path(place_.file), unfinished = whole + std::string(kUnfinished);
  file_ = {};
  if (::rename(unfinished.c_str(), whole.c_str()) != 0) {
    if (errno != ENOENT) return failed("rename", unfinished);
    ++files_missed_;
  }
  base::sync_folder_of(whole);
  place_.file.clear();
  place_.octets = 0;
  return write_place();
}

bool FileTarget::is_due(Micros now) const {
  return place_.octets >= options_.rotate_octets ||
         (options_.rotate_us > 0 && now / options_.rotate_us != place_.begun_at / options_.rotate_us);
}

Result<void> FileTarget::deliver(Parts parts) {
  const Place before = place_;
  const auto undo = [&](base::Diagnostic error) -> Result<void> {
    file_ = {};
    place_ = before;  // open() cuts off what was written.
    return tl::unexpected(std::move(error));
  };
  std::string text;
  uint64_t done = place_.seq;
  const auto store = [&](uint64_t seq) -> Result<void> {
    if (auto written = write(text); !written) return written;
    text.clear();
    if (file_.get() >= 0 && ::fdatasync(file_.get()) != 0) return failed("write", path(place_.file));
    place_.seq = seq;
    return write_place();
  };
  for (const auto& part : parts) {
    // Somebody has moved or removed it: what would be written now nobody could read.
    if (file_.get() >= 0 && text.empty() && !octets_of(path(place_.file) + std::string(kUnfinished))) {
      ++files_missed_;
      file_ = {};
    }
    if (file_.get() >= 0 && header(*part->form) != header_) {
      if (auto stored = store(done); !stored) return undo(std::move(stored.error()));
      if (auto ended = end_file(); !ended) return undo(std::move(ended.error()));
    }
    if (file_.get() < 0) {
      if (auto begun = begin_file(*part); !begun) return undo(std::move(begun.error()));
    }
    append(text, *part);
    done = part->seq;
    if (part->last && is_due(clock_())) {
      if (auto stored = store(part->seq); !stored) return undo(std::move(stored.error()));
      if (auto ended = end_file(); !ended) return undo(std::move(ended.error()));
    }
  }
  if (!parts.empty() && file_.get() >= 0) {
    if (auto stored = store(parts.back()->seq); !stored) return undo(std::move(stored.error()));
  }
  return {};
}

Result<void> FileTarget::pass_over(const ResultPart& part) {
  place_.seq = part.seq;
  return write_place();
}

Result<void> FileTarget::repeat(Parts parts) {
  if (parts.empty()) return {};
  std::string text = header(*parts.front()->form);
  const std::string columns = text;
  for (const auto& part : parts) {
    if (header(*part->form) != columns)
      return fail("22023", "rows of versions with other columns do not go into one file", {}, "replay them apart");
    append(text, *part);
  }
  const std::string to = path(name_of(*parts.front(), "replay-"));
  if (base::write_atomically(to, {reinterpret_cast<const uint8_t*>(text.data()), text.size()})) return {};
  return failed("write", to);
}

Result<std::string> FileTarget::test() {
  const std::string probe = path(options_.name + ".probe");
  const std::string_view text = "probe\n";
  if (!base::write_atomically(probe, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}))
    return failed("write", probe);
  ::unlink(probe.c_str());
  auto place = read_place();
  if (!place) return tl::unexpected(std::move(place.error()));
  std::error_code error;
  const auto space = std::filesystem::space(options_.folder, error);
  return fmt::format("files can be written in {}{}; they are whole up to part {}", options_.folder,
                     error ? "" : fmt::format(", which has room for {} MiB", space.available >> 20), place->seq);
}

}  // namespace backstream::sink

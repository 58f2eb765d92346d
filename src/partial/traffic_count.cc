#include "partial/traffic_count.h"

#include <zstd.h>

#include <cassert>

namespace backstream::partial {
namespace {

constexpr int kLevel = 3;

}  // namespace

struct Compressor::State {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ::ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context{::ZSTD_createCCtx()};
  std::vector<uint8_t> out;
};

Compressor::Compressor() : state_(std::make_unique<State>()) {}
Compressor::~Compressor() = default;

uint64_t Compressor::octets_of(std::span<const uint8_t> octets) {
  state_->out.resize(::ZSTD_compressBound(octets.size()));
  const size_t made = ::ZSTD_compressCCtx(state_->context.get(), state_->out.data(), state_->out.size(), octets.data(),
                                          octets.size(), kLevel);
  assert(::ZSTD_isError(made) == 0);  // There is room for whatever comes out.
  return made;
}

void TrafficCount::add(std::span<const uint8_t> message) {
  if (!batch_.empty() && batch_.size() + message.size() > kBatchOctetsMax) end_batch();
  batch_.insert(batch_.end(), message.begin(), message.end());
  ++counts_.messages;
  counts_.octets += message.size();
  Message read;
  PartialFault fault{};
  if (!read_message(message, read, fault) || read.kind != Message::Kind::kData) return;
  if (read.chunk.kind == ChunkId::Kind::kPane) counts_.groups += read.group_count;
  if (read.chunk.kind == ChunkId::Kind::kRows) counts_.rows += read.group_count;
}

void TrafficCount::end_batch() {
  if (batch_.empty()) return;
  counts_.compressed_octets += compressor_.octets_of(batch_);
  batch_.clear();
}

}  // namespace backstream::partial

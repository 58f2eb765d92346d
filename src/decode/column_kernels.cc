#include "decode/column_kernels.h"

#include <immintrin.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/byte_order.h"

namespace backstream::decode {

void load_integers(const uint8_t* at, size_t stride, unsigned width, size_t n, int64_t* __restrict out) {
  switch (width) {
    case 1:
      for (size_t i = 0; i < n; ++i) out[i] = at[i * stride];
      return;
    case 2:
      for (size_t i = 0; i < n; ++i) out[i] = base::load_be16(at + i * stride);
      return;
    case 3:
      for (size_t i = 0; i < n; ++i) out[i] = base::load_be24(at + i * stride);
      return;
    case 4:
      for (size_t i = 0; i < n; ++i) out[i] = base::load_be32(at + i * stride);
      return;
    case 8:
      for (size_t i = 0; i < n; ++i) out[i] = static_cast<int64_t>(base::load_be64(at + i * stride));
      return;
    default: break;
  }
  if (width > 8) {
    at += width - 8;
    width = 8;
  }
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<int64_t>(base::load_be(at + i * stride, width));
}

FieldPair::FieldPair(size_t window_at, size_t first, unsigned first_width, size_t second, unsigned second_width)
    : window(window_at),
      offsets{static_cast<uint8_t>(first - window_at), static_cast<uint8_t>(second - window_at)},
      widths{static_cast<uint8_t>(first_width), static_cast<uint8_t>(second_width)} {
  std::fill_n(picks, 16, uint8_t{0x80});
  for (size_t f = 0; f < 2; ++f) {
    assert(widths[f] >= 1 && widths[f] <= 8 && offsets[f] + widths[f] <= 16);
    for (unsigned octet = 0; octet < widths[f]; ++octet)
      picks[f * 8 + octet] = static_cast<uint8_t>(offsets[f] + widths[f] - 1u - octet);
  }
}

namespace {

void load_pair_plain(const uint8_t* records, size_t stride, const FieldPair& pair, size_t n, int64_t* first,
                     int64_t* second) {
  const uint8_t* window = records + pair.window;
  load_integers(window + pair.offsets[0], stride, pair.widths[0], n, first);
  load_integers(window + pair.offsets[1], stride, pair.widths[1], n, second);
}

void load_v4_plain(const uint8_t* at, size_t stride, size_t n, base::Inet* __restrict out) {
  for (size_t i = 0; i < n; ++i) out[i] = base::Inet::v4(base::load_be32(at + i * stride));
}

/// time = kept - behind * 1000 with behind = uptime_ms - value as a signed number of 32 bits. Behind + 2^31 is
/// unsigned: what that adds is in `kept`, and a product of 32 bits by 32 bits is one instruction.
Micros kept_of(Micros exported_at) { return exported_at + (Micros{1} << 31) * base::kMicrosPerMilli; }

Micros times_of_uptimes_plain(Micros* times, size_t n, uint32_t uptime_ms, Micros exported_at) {
  const Micros kept = kept_of(exported_at);
  const uint32_t shown = uptime_ms + (uint32_t{1} << 31);
  int64_t least = UINT32_MAX, least_odd = UINT32_MAX;  // two, as each waits for the one before
  size_t i = 0;
  for (; i + 2 <= n; i += 2) {
    const int64_t behind = shown - static_cast<uint32_t>(times[i]);
    const int64_t behind_odd = shown - static_cast<uint32_t>(times[i + 1]);
    times[i] = kept - behind * base::kMicrosPerMilli;
    times[i + 1] = kept - behind_odd * base::kMicrosPerMilli;
    least = std::min(least, behind);
    least_odd = std::min(least_odd, behind_odd);
  }
  if (i < n) {
    const int64_t behind = shown - static_cast<uint32_t>(times[i]);
    times[i] = kept - behind * base::kMicrosPerMilli;
    least = std::min(least, behind);
  }
  return kept - std::min(least, least_odd) * base::kMicrosPerMilli;
}

// --- twins for AVX2 -------------------------------------------------------------------------------------------------

#define BACKSTREAM_AVX2 __attribute__((target("avx2")))

BACKSTREAM_AVX2 inline __m128i load16(const uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

/// One load and one byte shuffle of a record give both fields; four records at a time.
BACKSTREAM_AVX2 void load_pair_avx2(const uint8_t* records, size_t stride, const FieldPair& pair, size_t n,
                                    int64_t* first, int64_t* second) {
  const uint8_t* at = records + pair.window;
  const __m128i picks = load16(pair.picks);
  const __m256i picks_twice = _mm256_broadcastsi128_si256(picks);
  size_t i = 0;
  for (; i + 4 <= n; i += 4, at += 4 * stride) {
    const __m256i even = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(at)), load16(at + 2 * stride), 1);
    const __m256i odd =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load16(at + stride)), load16(at + 3 * stride), 1);
    const __m256i even_words = _mm256_shuffle_epi8(even, picks_twice);
    const __m256i odd_words = _mm256_shuffle_epi8(odd, picks_twice);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(first + i), _mm256_unpacklo_epi64(even_words, odd_words));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second + i), _mm256_unpackhi_epi64(even_words, odd_words));
  }
  for (; i < n; ++i, at += stride) {
    const __m128i words = _mm_shuffle_epi8(load16(at), picks);
    first[i] = _mm_cvtsi128_si64(words);
    second[i] = _mm_extract_epi64(words, 1);
  }
}

BACKSTREAM_AVX2 void load_v4_avx2(const uint8_t* at, size_t stride, size_t n, base::Inet* out) {
  if (n == 0) return;
  // Each address is stored with 8 octets more than it has, which the next one overwrites; so the last one is not.
  const __m256i host = _mm256_set_epi64x(0, 4 | 32 << 8, 0, 0);
  const __m128i picks =
      _mm_set_epi8(-128, -128, -128, -128, -128, -128, -128, -128, 0, 1, 2, 3, -128, -128, -128, -128);
  for (size_t i = 0; i + 1 < n; ++i, at += stride) {
    int address;
    std::memcpy(&address, at, sizeof address);
    const __m128i words = _mm_shuffle_epi8(_mm_cvtsi32_si128(address), picks);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_or_si256(_mm256_zextsi128_si256(words), host));
  }
  out[n - 1] = base::Inet::v4(base::load_be32(at));
}

BACKSTREAM_AVX2 Micros times_of_uptimes_avx2(Micros* times, size_t n, uint32_t uptime_ms, Micros exported_at) {
  const size_t whole = n / 4 * 4;
  const Micros kept = kept_of(exported_at);
  const __m256i kept4 = _mm256_set1_epi64x(kept);
  const __m256i shown = _mm256_set1_epi64x(uptime_ms + (uint32_t{1} << 31));
  const __m256i micros = _mm256_set1_epi64x(base::kMicrosPerMilli);
  __m256i least = _mm256_set1_epi64x(-1);
  for (size_t i = 0; i < whole; i += 4) {
    auto* at = reinterpret_cast<__m256i*>(times + i);
    const __m256i behind = _mm256_sub_epi32(shown, _mm256_loadu_si256(at));  // the lower half of each word counts
    least = _mm256_min_epu32(least, behind);
    _mm256_storeu_si256(at, _mm256_sub_epi64(kept4, _mm256_mul_epu32(behind, micros)));
  }
  uint32_t lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), least);
  const int64_t least_behind = std::min(std::min(lanes[0], lanes[2]), std::min(lanes[4], lanes[6]));
  const Micros greatest = kept - least_behind * base::kMicrosPerMilli;
  if (whole == n) return greatest;
  const Micros of_rest = times_of_uptimes_plain(times + whole, n - whole, uptime_ms, exported_at);
  return whole == 0 ? of_rest : std::max(greatest, of_rest);
}

constexpr ColumnKernels kPlain = {load_pair_plain, load_v4_plain, times_of_uptimes_plain};
constexpr ColumnKernels kAvx2 = {load_pair_avx2, load_v4_avx2, times_of_uptimes_avx2};

}  // namespace

const ColumnKernels& column_kernels(base::CpuLevel level) { return level >= base::CpuLevel::kAvx2 ? kAvx2 : kPlain; }

}  // namespace backstream::decode

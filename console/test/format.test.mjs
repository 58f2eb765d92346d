import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const f = await load("words/format");
const NAMES = { bits: "bit/s", bytes: "B/s", packets: "packets/s", flows: "flows/s" };

test("three figures and an SI step", () => {
  const of = (value) => f.short(value, "en-GB");
  assert.equal(of(0), "0");
  assert.equal(of(7), "7");
  assert.equal(of(999), "999");
  assert.equal(of(999.6), "1.00 k");
  assert.equal(of(1000), "1.00 k");
  assert.equal(of(60.84e9), "60.8 G");
  assert.equal(of(999_499), "999 k");
  assert.equal(of(999_500), "1.00 M");
  assert.equal(of(-4215e6), "-4.22 G");
  assert.equal(of(Infinity), "∞");
  assert.equal(f.short(4.21e9, "pt-BR"), "4,21 G");
});

test("the unit joins the step", () => {
  assert.equal(f.with_unit(4.21e9, "bit/s", "en-GB"), "4.21 Gbit/s");
  assert.equal(f.with_unit(12, "bit/s", "en-GB"), "12 bit/s");
  assert.equal(f.with_unit(12, "", "en-GB"), "12");
});

test("amounts of a window become rates, octets bits", () => {
  const rate = (column, units, value, seconds) => f.scale_of(column, units, NAMES).of(value, seconds);
  assert.equal(rate("octets", "bits", 1000, 10), 800);
  assert.equal(rate("octets", "bytes", 1000, 10), 100);
  assert.equal(rate("packets", "bits", 1000, 10), 100);
  assert.equal(rate("syn_flows", "bits", 1000, 10), 100);
  // What is a rate already is not divided again, and what counts bits is not multiplied again.
  assert.equal(rate("bits_per_second", "bits", 1000, 10), 1000);
  assert.equal(rate("bits_per_second", "bytes", 1000, 10), 125);
  assert.equal(rate("octets_per_second", "bits", 1000, 10), 8000);
  assert.equal(rate("packets_per_second", "bits", 1000, 10), 1000);
  // Counts of different things are no rate, nor are rates of sampling and averages.
  assert.equal(rate("ports", "bits", 1000, 10), 1000);
  assert.equal(rate("sampling_rate_min", "bits", 100, 10), 100);
  assert.equal(rate("octets_per_packet", "bits", 1499, 60), 1499);
  assert.equal(f.scale_of("octets", "bits", NAMES).unit, "bit/s");
  assert.equal(f.scale_of("seconds_p50", "bits", NAMES).unit, "s");
  assert.equal(f.scale_of("ports", "bits", NAMES).unit, "");
  // A row without a window has no length: its amount stays one.
  assert.equal(rate("octets", "bytes", 1000, 0), 1000);
});

test("windows say the day only where it is another", () => {
  const start = Date.parse("2026-01-31T14:02:10Z"), end = start + 10_000;
  assert.equal(f.window_text(start, end, "utc", end), "14:02:10 – 14:02:20");
  assert.equal(f.window_text(start, end, "utc", end + 86_400_000), "2026-01-31 14:02:10 – 14:02:20");
  const midnight = Date.parse("2026-02-01T00:00:00Z");
  assert.equal(f.window_text(midnight - 10_000, midnight, "utc", end), "23:59:50 – 2026-02-01 00:00:00");
});

test("durations", () => {
  assert.deepEqual([1_240, 89_000, 90_000, 5_400_000, 172_800_000].map((ms) => f.duration(ms, "en-GB")), ["1.2 s", "89 s", "1.5 min", "1.5 h", "2 d"]);
});

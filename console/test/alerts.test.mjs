// What the pages about alerts decide.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { axis_times, by_urgency, lanes_of, levels_of, marks_of, spans_of } = await load("pages/alert_lanes", "pages/alert_levels");

const at = (minute) => new Date(Date.UTC(2026, 0, 31, 12, minute)).toISOString();
const ms = (minute) => Date.parse(at(minute));
const alert = (part) => ({
  id: "a", alert: "rule", key_text: "site=ams", severity: "warning", state: "firing", more: 0, starts_at: at(0), ends_at: null, fired_at: at(1), recovering_since: null,
  window_start: at(5), window_end: at(6), notices: [], acknowledged: null, ...part,
});
const brief = (spans) => spans.map(({ phase, from, until, open }) => `${phase} ${(from - ms(0)) / 60_000}-${(until - ms(0)) / 60_000}${open ? "…" : ""}`);

test("an alert without a wait fires from its first window on", () => {
  assert.deepEqual(brief(spans_of(alert({}), ms(10))), ["firing 0-10…"]);
  assert.deepEqual(brief(spans_of(alert({ state: "ended", recovering_since: at(7), ends_at: at(8) }), ms(30))), ["firing 0-8"]);
});

test("waits before and after are spans of their own", () => {
  assert.deepEqual(brief(spans_of(alert({ fired_at: at(3) }), ms(10))), ["pending 0-3", "firing 3-10…"]);
  assert.deepEqual(brief(spans_of(alert({ fired_at: at(3), state: "recovering", recovering_since: at(8) }), ms(10))), ["pending 0-3", "firing 3-8", "recovering 8-10…"]);
  assert.deepEqual(brief(spans_of(alert({ fired_at: at(3), state: "ended", recovering_since: at(8), ends_at: at(12) }), ms(30))), ["pending 0-3", "firing 3-8", "recovering 8-12"]);
  assert.deepEqual(brief(spans_of(alert({ state: "pending", fired_at: null }), ms(10))), ["pending 0-10…"]);
});

test("a clock that is behind the flows shortens nothing", () => {
  assert.deepEqual(brief(spans_of(alert({}), ms(2))), ["firing 0-6…"]);
});

test("marks tell what was told and who looks after it, and nothing that is not known", () => {
  const told = alert({
    notices: [{ state: "firing", at: at(1), endpoints: ["chat", "pager"] }, { state: "resolved", at: at(8), endpoints: [] }, { state: "firing", at: null, endpoints: ["old"] }],
    acknowledged: { by: "ana", at: at(2), comment: "" },
  });
  assert.deepEqual(marks_of(told), [{ kind: "told", at: ms(1), who: "chat, pager" }, { kind: "acknowledged", at: ms(2), who: "ana" }]);
});

test("a lane is a key of a rule; what fires comes first; an alert stands once", () => {
  const now = [alert({ id: "now", key_text: "site=fra" })];
  const ended = [
    alert({ id: "now", key_text: "site=fra", state: "ended", ends_at: at(9) }),
    alert({ id: "old", state: "ended", ends_at: at(3) }), alert({ id: "new", state: "ended", starts_at: at(5), ends_at: at(8) }),
    alert({ id: "gone", key_text: "site=lon", state: "ended", ends_at: at(1) }),
    alert({ id: "same key, another rule", alert: "other", severity: "page", state: "ended", ends_at: at(4) }),
  ];
  const lanes = lanes_of(now, ended, ms(2));
  assert.deepEqual(lanes.map((lane) => [lane.rule, lane.key_text, lane.alerts.map((each) => each.id)]),
    [["rule", "site=fra", ["now"]], ["other", "site=ams", ["same key, another rule"]], ["rule", "site=ams", ["new", "old"]]]);
  assert.equal(lanes[0].alerts[0].state, "firing");
});

test("severity decides among those that fire", () => {
  const order = [alert({ id: "w" }), alert({ id: "p", severity: "page" }), alert({ id: "pending", state: "pending", severity: "page" })].sort(by_urgency);
  assert.deepEqual(order.map(({ id }) => id), ["p", "w", "pending"]);
});

test("axes are labelled at whole times, never too many", () => {
  assert.deepEqual(axis_times(ms(1), ms(61), 6).map((time) => (time - ms(0)) / 60_000), [10, 20, 30, 40, 50, 60]);
  for (const width of [60_000, 3_600_000, 86_400_000, 30 * 86_400_000]) assert.ok(axis_times(ms(1), ms(1) + width, 6).length <= 7);
});

test("lines of thresholds stand where the condition names the column, or what the statement calls it", () => {
  const having = "CREATE MATERIALIZED VIEW s AS SELECT window_start, count(DISTINCT dst_port) AS ports\nFROM tumble(flows, time, interval '10 s') GROUP BY window_start HAVING count(distinct dst_port) > 100";
  assert.deepEqual(levels_of("count(DISTINCT dst_port) > 100", "ports", having), [100]);
  assert.deepEqual(levels_of("ports > 1.5e3 AND sources < 7", "ports", ""), [1500]);
  assert.deepEqual(levels_of("bps > 10 OR bps < -2", "bps", ""), [10, -2]);
  assert.deepEqual(levels_of("bps > 2 * baseline", "bps", ""), []);
  assert.deepEqual(levels_of("ports + 1 > 5", "ports", ""), []);
  assert.deepEqual(levels_of("", "ports", ""), []);
});

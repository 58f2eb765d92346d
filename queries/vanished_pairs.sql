-- Vanished AS pairs: pairs of ASes that exchanged at least 10 MB in five minutes and nothing in the five minutes after.
-- A link or a session that went down takes many pairs with it. Threshold: 10,000,000 octets, so that small pairs, which
-- come and go, are not told. A window of ten minutes every five: each pair is told once, when the silent five minutes
-- have passed; window_start is the begin of the last five minutes with traffic.
-- Source: operators' traffic-drop alarms; the heartbeat timer in the wish list of BackStreamDB.
CREATE MATERIALIZED VIEW vanished_pairs AS
SELECT window_start, src_as, dst_as, sum(octets) AS octets, max(time) AS last_seen
FROM hop(flows, time, interval '5 min', interval '10 min')
GROUP BY window_start, window_end, src_as, dst_as
HAVING max(time) < window_end - interval '5 min' AND sum(octets) >= 10000000;

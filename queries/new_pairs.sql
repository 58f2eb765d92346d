-- New AS pairs: pairs of ASes that exchange traffic after an hour of silence, or for the first time, with at least 1 MB
-- in five minutes. A new customer, a leaked route, an attack. In the first hour after the query was added every pair is
-- new. Thresholds: interval '1 h'; 1,000,000 octets. A pair is forgotten after 24 hours without traffic and then is new
-- again.
-- Source: operators' "new peer" reports; anti-join with the past in the wish list of BackStreamDB.
CREATE MATERIALIZED VIEW new_pairs AS
SELECT window_start, src_as, dst_as, octets, before AS last_seen
FROM (SELECT window_start, src_as, dst_as, octets,
             lag(window_start) OVER (PARTITION BY src_as, dst_as ORDER BY window_start) AS before
      FROM (SELECT window_start, src_as, dst_as, sum(octets) AS octets
            FROM tumble(flows, time, interval '300 s')
            GROUP BY window_start, src_as, dst_as) matrix) history
WHERE octets >= 1000000 AND (before IS NULL OR window_start - before > interval '1 h');

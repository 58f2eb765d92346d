-- Moving average by source: packets of each source in the minute, and their exponentially decaying average with a
-- half-life of ten minutes; told when the minute has more than five times the average before it. Thresholds: factor 5,
-- and 1000 packets as a floor. A source that was not there before has no average and is not told (new_pairs.sql does
-- that).
-- Source: query 4 of the Stanford STREAM repository's network monitoring set.
CREATE MATERIALIZED VIEW source_average AS
SELECT window_start, src_ip, packets, before
FROM (SELECT window_start, src_ip, packets, lag(average) OVER (PARTITION BY src_ip ORDER BY window_start) AS before
      FROM (SELECT window_start, src_ip, packets,
                   ewma(packets, interval '10 min') OVER (PARTITION BY src_ip ORDER BY window_start) AS average
            FROM (SELECT window_start, src_ip, sum(packets) AS packets
                  FROM tumble(flows, time, interval '60 s')
                  GROUP BY window_start, src_ip) minutes) averages) history
WHERE packets > 1000 AND packets > 5 * before;

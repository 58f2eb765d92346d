-- Deviation from the baseline: hours in which a source AS sent unusually much or little: more than three standard
-- deviations from the mean of the 24 hours before, with the same hour of last week beside it. Thresholds: |z| > 3 and a
-- difference of more than 1 MB, without which quiet sources would alarm all the time; the history needs 12 hours before
-- anything is told. The first week has no week_ago (null).
-- Source: Flowmon ADS and NetScope baselines; z-score with an absolute floor.
CREATE MATERIALIZED VIEW baseline AS
SELECT window_start, src_as, octets, mean, z, week_ago
FROM (SELECT window_start, src_as, octets, avg(octets) OVER day AS mean, count(octets) OVER day AS hours,
             (octets - avg(octets) OVER day) / nullif(stddev_samp(octets) OVER day, 0) AS z,
             max(octets) OVER (PARTITION BY src_as ORDER BY window_start
                               RANGE BETWEEN interval '7 days' PRECEDING AND interval '7 days' PRECEDING) AS week_ago
      FROM (SELECT window_start, src_as, sum(octets) AS octets
            FROM tumble(flows, time, interval '1 h')
            GROUP BY window_start, src_as) hourly
      WINDOW day AS (PARTITION BY src_as ORDER BY window_start
                     RANGE BETWEEN interval '24 h' PRECEDING AND interval '1 h' PRECEDING)) history
WHERE hours >= 12 AND abs(z) > 3 AND abs(octets - mean) > 1000000;

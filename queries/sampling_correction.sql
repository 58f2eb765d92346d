-- Sampling correction: octets and packets by exporter where routers do not tell their sampling rate: the table sampling
-- has it. A rate that the router tells counts first; without any, counters are as exported and unknown counts the
-- flows. No threshold.
-- Source: cross-PoP comparison needs all traffic on one scale (GT-BackStreamDB, granularity of PoPs).
CREATE MATERIALIZED VIEW sampling_correction AS
SELECT window_start, f.exporter, sum(f.octets_raw * coalesce(f.sampling_rate, s.rate, 1)) AS octets,
       sum(f.packets_raw * coalesce(f.sampling_rate, s.rate, 1)) AS packets,
       count(*) FILTER (WHERE f.sampling_rate IS NULL AND s.rate IS NULL) AS unknown
FROM tumble(flows, time, interval '300 s') f
     LEFT JOIN sampling s ON s.exporter = f.exporter
GROUP BY window_start, f.exporter;

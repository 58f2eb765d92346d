-- Export delay: how long after its event time a record arrives, by exporter, every five minutes: median, 99.9th
-- percentile and the most. The delay of the watermark (`watermark.delay`, 75 s) must be above the 99.9th percentile,
-- else rows are late; a negative value is a router's clock ahead of ours. Percentiles are within 1 %.
-- Source: Hofstede et al., "Measurement Artifacts in NetFlow Data" (PAM 2013).
CREATE MATERIALIZED VIEW export_delay AS
SELECT window_start, exporter, count(*) AS flows,
       approx_percentile(extract(epoch FROM received_at - time), 0.5) AS seconds_p50,
       approx_percentile(extract(epoch FROM received_at - time), 0.999) AS seconds_p999,
       min(received_at - time) AS least, max(received_at - time) AS most
FROM tumble(flows, received_at, interval '300 s')
GROUP BY window_start, exporter;

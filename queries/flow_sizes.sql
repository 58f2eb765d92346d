-- Flow sizes and durations: median, 95th and 99th percentile of octets and of seconds, by protocol, every five minutes.
-- How much of the traffic is mice and how much elephants; a median of 40 octets is a scan. Percentiles are within 1 %
-- (approx_percentile), at a size of state that does not grow with the flows. They are of flow records as exported,
-- without sampling: an active timeout cuts long flows.
-- Source: the flow-duration and flow-size reports of CoralReef and NfSen.
CREATE MATERIALIZED VIEW flow_sizes AS
SELECT window_start, protocol, count(*) AS flows,
       approx_percentile(octets_raw, 0.5) AS octets_p50, approx_percentile(octets_raw, 0.95) AS octets_p95,
       approx_percentile(octets_raw, 0.99) AS octets_p99,
       approx_percentile(extract(epoch FROM flow_end - flow_start), 0.5) AS seconds_p50,
       approx_percentile(extract(epoch FROM flow_end - flow_start), 0.95) AS seconds_p95,
       approx_percentile(extract(epoch FROM flow_end - flow_start), 0.99) AS seconds_p99
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start, protocol;

-- What each exporter sent, every minute, by arrival: is the monitor itself well?
CREATE MATERIALIZED VIEW exporters AS
SELECT window_start, exporter, protocol_version, count(*) AS flows, sum(octets) AS octets,
       min(sampling_rate) AS sampling_rate_min, max(sampling_rate) AS sampling_rate_max
FROM tumble(flows, received_at, interval '60 s')
GROUP BY window_start, exporter, protocol_version;

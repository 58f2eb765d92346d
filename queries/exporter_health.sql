-- Exporters: what each sent, every minute, by arrival: is the monitor itself well? Sampling rates that differ within a
-- minute, or are null (unknown), make octets wrong for that router. No threshold.
-- Source: the exporter tables of pmacct and Akvorado.
CREATE MATERIALIZED VIEW exporter_health AS
SELECT window_start, exporter, protocol_version, count(*) AS flows, sum(octets) AS octets,
       min(sampling_rate) AS sampling_rate_min, max(sampling_rate) AS sampling_rate_max
FROM tumble(flows, received_at, interval '60 s')
GROUP BY window_start, exporter, protocol_version;

-- Exporters: is the monitor itself well? What each exporter sent in a minute of arrival, what of it was lost or could not
-- be read, and the sampling rates of its flows. missing: records (v5, IPFIX), datagrams (v9) or samples (sFlow), by the
-- sequence numbers; a negative number takes back what was overtaken on the way. Sampling rates that differ within a
-- minute, or rows without one, make octets wrong for that router. Alarm on missing > 0 or sampling_unknown_rows > 0.
-- Source: the exporter tables of pmacct and Akvorado.
CREATE MATERIALIZED VIEW exporter_ledger AS
SELECT window_start, exporter, max(protocols) AS protocols, sum(datagrams) AS datagrams, sum(flows) AS flows,
       sum(missing) AS missing, sum(rejected + undecodable + malformed) AS unreadable,
       sum(awaiting_template) AS awaiting_template, sum(sampling_unknown_rows) AS sampling_unknown_rows
FROM tumble(exporter_minutes, time, interval '60 s')
GROUP BY window_start, exporter;

CREATE MATERIALIZED VIEW exporter_rates AS
SELECT window_start, exporter, sum(octets) AS octets, min(sampling_rate) AS sampling_rate_min,
       max(sampling_rate) AS sampling_rate_max
FROM tumble(flows, received_at, interval '60 s')
GROUP BY window_start, exporter;

CREATE MATERIALIZED VIEW exporter_health AS
SELECT window_start, exporter, l.protocols, l.datagrams, l.flows, r.octets, l.missing, l.unreadable,
       l.awaiting_template, l.sampling_unknown_rows, r.sampling_rate_min, r.sampling_rate_max
FROM exporter_ledger l LEFT JOIN exporter_rates r USING (window_start, exporter);

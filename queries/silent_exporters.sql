-- Silent exporters: routers that sent something in one minute and nothing in the next, by arrival. While a router is
-- silent every other answer lacks its traffic. Threshold: the minute; a router with little traffic may be silent for
-- longer, give it interval '5 min', interval '10 min'. When all exporters are silent our own clock closes the windows.
-- Source: NfSen's and pmacct's checks for missing exporters.
CREATE MATERIALIZED VIEW silent_exporters AS
SELECT window_start, exporter, count(*) AS flows, max(received_at) AS last_seen
FROM hop(flows, received_at, interval '1 min', interval '2 min')
GROUP BY window_start, window_end, exporter
HAVING max(received_at) < window_end - interval '1 min';

-- Late rows: what came after its minute was closed, by exporter, and how much later. Late rows are in no other answer:
-- many of them mean that the delay is too short (`watermark.delay`; the summary of a run says which would have kept
-- all), or that a router's clock is wrong or its active timeout long. Told as they are found, several times a minute if
-- need be; flows and octets of flow_minutes and of this add up to all that came. No threshold; octets > 1000000
-- keeps the small ones out.
-- Source: TelegraphCQ's study (PAM 2004), which found drop counts wrong.
CREATE MATERIALIZED VIEW flow_minutes AS
SELECT window_start, exporter, count(*) AS flows, sum(octets) AS octets
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, exporter;

CREATE MATERIALIZED VIEW late_rows AS
SELECT window_start, exporter, flows, octets, _late_by AS late_by, _site AS site
FROM flow_minutes_late;

-- Top talkers: the ten sources that sent most, every minute. The first question about a full link. LIMIT sets how many.
-- Exact; the order of equal sources is that of their addresses.
-- Source: every flow tool's first report; Flowmon, NfSen.
CREATE MATERIALIZED VIEW top_talkers AS
SELECT window_start, src_ip, sum(octets) AS octets, sum(packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, src_ip
ORDER BY octets DESC
LIMIT 10;

-- Web traffic by host: octets that each source sent from or to the ports of the web, every five minutes. The ports (80,
-- 443, 8080; UDP is QUIC) are the list to set.
-- Source: query 3 of the Stanford STREAM repository's network monitoring set.
CREATE MATERIALIZED VIEW web_by_source AS
SELECT window_start, src_ip, sum(octets) AS octets, count(*) AS flows
FROM tumble(flows, time, interval '300 s')
WHERE protocol IN (6, 17) AND (src_port IN (80, 443, 8080) OR dst_port IN (80, 443, 8080))
GROUP BY window_start, src_ip;

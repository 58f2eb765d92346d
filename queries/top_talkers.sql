-- The ten sources that sent most, every minute.
CREATE MATERIALIZED VIEW top_talkers AS
SELECT window_start, src_ip, sum(octets) AS octets, sum(packets) AS packets, count(*) AS flows
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, src_ip
ORDER BY octets DESC
LIMIT 10;

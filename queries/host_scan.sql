-- One source that tries one port of many destinations with single packets.
CREATE MATERIALIZED VIEW host_scan AS
SELECT window_start, src_ip, dst_port, count(DISTINCT dst_ip) AS hosts
FROM tumble(flows, time, interval '60 s')
WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_port
HAVING count(DISTINCT dst_ip) > 100;

-- Host scan: one source that tries one port of many destinations with single packets, every minute. Threshold: more
-- than 100 hosts a minute; flow-dscan takes 64. Known scanners (monitoring, research) are left out with AND src_ip NOT
-- IN (…). Once an incident instead of once a minute: scan_alert.sql.
-- Source: flow-dscan; Sonata's superspreader by port.
CREATE MATERIALIZED VIEW host_scan AS
SELECT window_start, src_ip, dst_port, count(DISTINCT dst_ip) AS hosts
FROM tumble(flows, time, interval '60 s')
WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_port
HAVING count(DISTINCT dst_ip) > 100;

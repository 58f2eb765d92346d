CREATE MATERIALIZED VIEW port_sweep AS
SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports
FROM tumble(flows, time, interval '60 s')
WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_ip
HAVING count(DISTINCT dst_port) > 100;

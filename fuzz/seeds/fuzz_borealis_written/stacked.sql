CREATE MATERIALIZED VIEW slowloris AS
SELECT window_start, dst_ip, dst_port, count(*) AS connections, sum(octets) AS octets,
       sum(octets) / count(*) AS octets_per_connection, count(DISTINCT src_ip) AS sources
FROM (SELECT window_start, dst_ip, dst_port, src_ip, src_port, sum(octets) AS octets
      FROM tumble(flows, time, interval '300 s')
      WHERE protocol = 6 AND dst_port IN (80, 443, 8080)
      GROUP BY window_start, dst_ip, dst_port, src_ip, src_port) connections
GROUP BY window_start, dst_ip, dst_port
HAVING count(*) > 300 AND sum(octets) / count(*) < 1000;

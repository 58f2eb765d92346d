-- Slow connections: web servers that hold more than 300 long connections (half a minute or more) which hardly send:
-- under 1000 octets each, every five minutes. They use up the server's sockets, not its link. Thresholds: 300
-- connections (the server's limit is often 1024), 1000 octets, 30 s. Routers should keep flows for more than half a
-- minute (active timeout 60 s).
-- Source: Sonata (SIGCOMM 2018), query 7 (Slowloris).
CREATE MATERIALIZED VIEW slowloris AS
SELECT window_start, dst_ip, dst_port, count(*) AS connections, sum(octets) AS octets,
       sum(octets) / count(*) AS octets_per_connection, count(DISTINCT src_ip) AS sources
FROM (SELECT window_start, dst_ip, dst_port, src_ip, src_port, sum(octets) AS octets
      FROM tumble(flows, time, interval '300 s')
      WHERE protocol = 6 AND dst_port IN (80, 443, 8080) AND flow_end - flow_start >= interval '30 s'
      GROUP BY window_start, dst_ip, dst_port, src_ip, src_port) connections
GROUP BY window_start, dst_ip, dst_port
HAVING count(*) > 300 AND sum(octets) / count(*) < 1000;

-- Handshake timeout: servers of which more than 100 connection attempts in a minute (SYN without ACK) had no answer
-- from that server and port within two minutes. Stricter than half_open: each attempt is matched with its own answer.
-- Thresholds: 100 attempts; interval '2 min' is also how long attempts are remembered, and how much later the rows
-- come. The answer must pass an exporter of ours.
-- Source: query 5 of the Stanford STREAM repository's network monitoring set; Borealis' waitfor box.
CREATE MATERIALIZED VIEW handshake_timeout AS
SELECT window_start, dst_ip, dst_port, count(*) AS unanswered, count(DISTINCT src_ip) AS sources
FROM tumble((SELECT s.time, s.src_ip, s.dst_ip, s.dst_port
             FROM (SELECT time, src_ip, dst_ip, src_port, dst_port FROM flows WHERE protocol = 6 AND tcp_flags & 18 = 2) s
                  LEFT JOIN (SELECT time, src_ip, dst_ip, src_port, dst_port FROM flows
                             WHERE protocol = 6 AND tcp_flags & 16 <> 0) a
                  ON a.src_ip = s.dst_ip AND a.dst_ip = s.src_ip AND a.src_port = s.dst_port AND a.dst_port = s.src_port
                     AND a.time BETWEEN s.time AND s.time + interval '2 min'
             WHERE a.time IS NULL), time, interval '60 s')
GROUP BY window_start, dst_ip, dst_port
HAVING count(*) > 100;

-- Half-open connections: destinations that got far more attempts (SYN without ACK) than connections that were made
-- (ACK) or ended (FIN), every minute. Finds the flood that is too slow for syn_flood, and a service that is down.
-- Thresholds: more than 100 attempts, and more than three for each completed one.
-- Source: Sonata's incomplete TCP flows (query 6), as conditional sums instead of a join.
CREATE MATERIALIZED VIEW half_open AS
SELECT window_start, dst_ip, attempts, completed, attempts - completed AS open
FROM (SELECT window_start, dst_ip,
             count(*) FILTER (WHERE tcp_flags & 18 = 2) AS attempts,
             count(*) FILTER (WHERE tcp_flags & 16 <> 0) AS completed
      FROM tumble(flows, time, interval '60 s')
      WHERE protocol = 6
      GROUP BY window_start, dst_ip) connections
WHERE attempts > 100 AND attempts > 3 * completed;

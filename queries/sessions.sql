-- Sessions: flows of a pair of hosts put together to one activity that ends after two minutes of silence. Worms and
-- backups are sessions of many flows; people's are few. Threshold: at least 10 flows. interval '2 min' is the silence
-- that ends a session. Each is told when it ended.
-- Source: query 6 of the Stanford STREAM repository's network monitoring set.
CREATE MATERIALIZED VIEW sessions AS
SELECT window_start, window_end, src_ip, dst_ip, count(*) AS flows, sum(octets) AS octets,
       count(DISTINCT dst_port) AS ports, min(flow_start) AS first_packet, max(flow_end) AS last_packet
FROM session(flows, time, interval '2 min', partition_by => (src_ip, dst_ip))
GROUP BY window_start, window_end, src_ip, dst_ip
HAVING count(*) >= 10;

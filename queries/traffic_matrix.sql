-- Octets from AS to AS, every five minutes.
CREATE MATERIALIZED VIEW traffic_matrix AS
SELECT window_start, src_as, dst_as, sum(octets) AS octets
FROM tumble(flows, time, interval '300 s')
GROUP BY window_start, src_as, dst_as;

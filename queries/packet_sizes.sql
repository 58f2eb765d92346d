-- Packet sizes: packets by the mean packet size of their flow, in the classes of RMON, every five minutes. Many small
-- packets load a router's processor rather than its links; a new peak is an attack or a tunnel. Sizes are of the IP
-- packet, without the frame. The mean is all that a flow record tells: within a flow sizes may differ. Classes are set
-- in the CASE; a flow of no packets has none (null).
-- Source: RFC 2819 (etherStatsPkts64Octets and on); the "IP packet size distribution" of Cisco's flow caches.
CREATE MATERIALIZED VIEW packet_sizes AS
SELECT window_start,
       CASE WHEN size <= 64 THEN 64 WHEN size <= 127 THEN 127 WHEN size <= 255 THEN 255 WHEN size <= 511 THEN 511
            WHEN size <= 1023 THEN 1023 WHEN size <= 1518 THEN 1518 WHEN size > 1518 THEN 65535 END AS octets_at_most,
       sum(packets) AS packets, sum(octets) AS octets, count(*) AS flows
FROM tumble((SELECT time, packets, octets, octets_raw / nullif(packets_raw, 0) AS size FROM flows), time, interval '300 s')
GROUP BY 1, 2;

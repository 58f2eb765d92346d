-- Floods with hysteresis: ICMP, UDP and fragments to one destination, packets and bits a second over ten seconds, every
-- five. An alarm begins above 20,000 packets a second and lasts while there are 10,000 or more. Set the upper threshold
-- to what the smallest customer can bear and the lower to half of it. Fragments are UDP flows with both ports 0, as
-- routers export all but the first. Below 1,000 packets a second (the HAVING, which keeps the state small) a
-- destination is not followed, and its alarm has ended.
-- Source: FastNetMon's defaults (20,000 packets/s); xenoeye's averages with a lower limit for the end.
CREATE MATERIALIZED VIEW floods AS
SELECT window_start, dst_ip, kind, packets_per_second, bits_per_second
FROM (SELECT window_start, dst_ip, kind, packets_per_second, bits_per_second,
             max(CASE WHEN packets_per_second > 20000 THEN window_start END) OVER history AS raised,
             max(CASE WHEN packets_per_second < 10000 OR window_start - before > interval '5 s' THEN window_start END)
               OVER history AS ended
      FROM (SELECT window_start, dst_ip, kind, packets_per_second, bits_per_second,
                   lag(window_start) OVER (PARTITION BY dst_ip, kind ORDER BY window_start) AS before
            FROM (SELECT window_start, dst_ip,
                         CASE WHEN protocol IN (1, 58) THEN 'icmp' WHEN src_port = 0 AND dst_port = 0 THEN 'fragment'
                              ELSE 'udp' END AS kind,
                         sum(packets) / 10 AS packets_per_second, sum(octets) * 8 / 10 AS bits_per_second
                  FROM hop(flows, time, interval '5 s', interval '10 s')
                  WHERE protocol IN (1, 17, 58)
                  GROUP BY 1, 2, 3
                  HAVING sum(packets) / 10 > 1000) rates) series
      WINDOW history AS (PARTITION BY dst_ip, kind ORDER BY window_start)) states
WHERE raised >= ended OR raised IS NOT NULL AND ended IS NULL;

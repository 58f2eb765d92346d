-- Heavy pairs of a link: the pairs of hosts in the top 5 percent by octets over 20 minutes, every five minutes, for
-- each input interface. Few pairs carry most of a link; these are the ones to move. 0.95 sets the part. Pairs that are
-- equal are in together.
-- Source: query 1 of the Stanford STREAM repository's network monitoring set.
CREATE MATERIALIZED VIEW heavy_pairs AS
SELECT window_start, exporter, in_if, src_ip, dst_ip, octets, percent_of_link
FROM (SELECT window_start, exporter, in_if, src_ip, dst_ip, sum(octets) AS octets,
             100.0 * sum(octets) / nullif(sum(sum(octets)) OVER link, 0) AS percent_of_link,
             cume_dist() OVER (PARTITION BY window_start, exporter, in_if ORDER BY sum(octets)) AS place
      FROM hop(flows, time, interval '5 min', interval '20 min')
      GROUP BY window_start, exporter, in_if, src_ip, dst_ip
      WINDOW link AS (PARTITION BY window_start, exporter, in_if)) pairs
WHERE place > 0.95;

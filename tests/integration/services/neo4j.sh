#!/usr/bin/env bash
# A Neo4j community server of its own, from Maven artifacts, reachable from 127.0.0.1 only and without a password.
#   neo4j.sh install LIBRARIES        fetch the server (Maven; 123 MB), once
#   neo4j.sh run LIBRARIES HOME PORT  run it in the foreground; PORT is bolt's. SIGTERM ends it
set -euo pipefail
version=5.26.30
libraries=$2

case $1 in
install)
  [ -f "$libraries/.whole" ] && exit 0
  mkdir -p "$libraries"
  cat >"$libraries/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>penstock.tests</groupId><artifactId>neo4j</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
XML
  mvn --quiet --batch-mode --file "$libraries/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$libraries"
  touch "$libraries/.whole"
  ;;
run)
  home=$3 port=$4
  mkdir -p "$home/conf"
  cat >"$home/conf/neo4j.conf" <<CONF
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:$port
server.bolt.advertised_address=127.0.0.1:$port
server.http.enabled=false
server.https.enabled=false
dbms.security.auth_enabled=false
dbms.usage_report.enabled=false
server.memory.heap.max_size=512m
server.memory.pagecache.size=64m
db.tx_log.preallocate=false
CONF
  exec java -Xmx512m --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED \
    --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED \
    -cp "$libraries/*" org.neo4j.server.CommunityEntryPoint "--home-dir=$home" "--config-dir=$home/conf"
  ;;
*)
  sed -n '2,4p' "$0" >&2
  exit 2
  ;;
esac

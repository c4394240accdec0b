#!/bin/sh
# Installs what the stand-in for Signon needs: Debian's own Doorkeeper with ActiveRecord and SQLite.
set -eu
apt-get install -y --no-install-recommends ruby ruby-rails ruby-doorkeeper ruby-activerecord ruby-sqlite3 ruby-webrick

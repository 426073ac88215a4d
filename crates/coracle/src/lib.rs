//! A light TCP/IP stack with the raw (native, callback) API

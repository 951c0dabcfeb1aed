#include "request_reader.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::server {
namespace {

struct Read {
  std::vector<HttpRequest> requests;
  int fault = 0;
};

/// All requests of `bytes`, given to the reader `piece` at a time.
Read read(const std::string& bytes, std::size_t piece, const RequestLimits& limits = {}) {
  Read result;
  auto reader = std::make_unique<RequestReader>(limits);
  std::string ahead;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    ahead += bytes.substr(at, piece);
    while (!ahead.empty()) {
      ahead.erase(0, reader->feed(ahead));
      if ((result.fault = reader->fault()) != 0) return result;
      if (!reader->done()) break;
      result.requests.push_back(reader->take());
      reader = std::make_unique<RequestReader>(limits);
    }
  }
  return result;
}

const std::string three =
    "POST /v1/completions?x=1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\nhello"
    "GET /health HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer k\r\n\r\n"
    "POST /tokenize HTTP/1.0\r\nHost: c\r\nContent-Length: 0\r\n\r\n";

TEST(RequestReader, PiecesOfAnySizeGiveTheSameRequests) {
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 50U, 1000U}) {
    const Read got = read(three, piece);
    ASSERT_EQ(got.fault, 0) << piece;
    ASSERT_EQ(got.requests.size(), 3U) << piece;
    EXPECT_EQ(got.requests[0].method, "POST");
    EXPECT_EQ(got.requests[0].path, "/v1/completions");
    EXPECT_EQ(got.requests[0].query, "x=1");
    EXPECT_EQ(got.requests[0].body, "hello");
    EXPECT_EQ(got.requests[0].host, "a:1");
    EXPECT_TRUE(got.requests[0].keep_alive);
    EXPECT_EQ(got.requests[1].path, "/health");
    EXPECT_EQ(got.requests[1].authorization, "Bearer k");
    EXPECT_EQ(got.requests[2].body, "");
    EXPECT_FALSE(got.requests[2].keep_alive);  // HTTP/1.0
  }
}

TEST(RequestReader, ChunkedBodiesArePutTogether) {
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4\r\nWiki\r\n6;note=1\r\npedia \r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const std::size_t piece : {1U, 2U, 5U, 1000U}) {
    const Read got = read(request, piece);
    ASSERT_EQ(got.fault, 0) << piece;
    ASSERT_EQ(got.requests.size(), 2U) << piece;
    EXPECT_EQ(got.requests[0].body, "Wikipedia ");
    EXPECT_EQ(got.requests[1].path, "/");
  }
}

// RFC 9112, section 3.2.
TEST(RequestReader, ThereIsOneHost) {
  for (const std::size_t piece : {1U, 1000U}) {
    EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", piece).fault, 400);
    EXPECT_EQ(read("GET / HTTP/1.1\r\nhost: a\r\nAccept: b\r\nHOST: a\r\n\r\n", piece).fault, 400);
    EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nAccept: Host\r\n\r\n", piece).fault, 0);
    EXPECT_EQ(read("GET / HTTP/1.1\r\nAccept: Host\r\n\r\n", piece).fault, 400);
    EXPECT_EQ(read("GET / HTTP/1.0\r\n\r\n", piece).fault, 0);
  }
}

TEST(RequestReader, LimitsAreKept) {
  const RequestLimits limits{.header = 200, .body = 10};
  const std::string big_header = "GET / HTTP/1.1\r\nHost: " + std::string(300, 'a') + "\r\n\r\n";
  const std::string big_body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
  const std::string big_chunks =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" +
      std::string(255, 'x');
  const std::string endless_extension =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(4000, 'x');
  for (const std::size_t piece : {1U, 64U, 10000U}) {
    EXPECT_EQ(read(big_header, piece, limits).fault, 431);
    EXPECT_EQ(read(big_body, piece, limits).fault, 413);
    EXPECT_EQ(read(big_chunks, piece, limits).fault, 413);
    EXPECT_NE(read(endless_extension, piece, limits).fault, 0) << piece;
  }
}

TEST(RequestReader, WhatIsNoRequestIsAFault) {
  for (const std::string bytes :
       {"hello\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"}) {
    for (const std::size_t piece : {1U, 1000U}) EXPECT_EQ(read(bytes, piece).fault, 400) << bytes;
  }
  EXPECT_EQ(read("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 1000).fault, 501);
}

TEST(RequestReader, ContinueIsAskedForOnce) {
  RequestReader reader({});
  const std::string head =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(reader.feed(head), head.size());
  EXPECT_TRUE(reader.wants_continue());
  EXPECT_FALSE(reader.wants_continue());
  EXPECT_EQ(reader.feed("ab"), 2U);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.take().body, "ab");
}

}  // namespace
}  // namespace sluice::server

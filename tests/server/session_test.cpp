// The WebSocket of keyboards.
#include <gtest/gtest.h>

#include "server/support.hpp"
#include "websocket.hpp"

namespace sluice::server_test {
namespace {

using server::FrameReader;
using server::SocketMessage;

/// A frame as clients send them: masked.
std::string masked(std::string_view payload, int opcode = 1, bool last = true) {
  std::string bytes(1, static_cast<char>((last ? 0x80 : 0) | opcode));
  if (payload.size() < 126) {
    bytes += static_cast<char>(0x80 | payload.size());
  } else if (payload.size() < 65536) {
    bytes += static_cast<char>(0x80 | 126);
    bytes += static_cast<char>(payload.size() >> 8);
    bytes += static_cast<char>(payload.size() & 0xFF);
  } else {
    bytes += static_cast<char>(0x80 | 127);
    for (int i = 7; i >= 0; --i) bytes += static_cast<char>((payload.size() >> (8 * i)) & 0xFF);
  }
  const std::string mask = "\x12\x34\x56\x78";
  bytes += mask;
  for (std::size_t i = 0; i < payload.size(); ++i)
    bytes += static_cast<char>(payload[i] ^ mask[i % 4]);
  return bytes;
}

TEST(WebSocket, KeyIsAnsweredAsTheStandardSays) {
  EXPECT_EQ(server::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, FramesOfAnyPieces) {
  const std::string bytes = masked("hel", 1, false) + masked("?", 9) + masked("lo", 0) +
                            masked(std::string(300, 'x')) + masked("\x03\xe8", 8);
  for (const std::size_t piece : {1U, 3U, 1000U}) {
    FrameReader reader(1000);
    std::vector<SocketMessage> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      for (auto& message : reader.feed(bytes.substr(at, piece))) all.push_back(std::move(message));
    }
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].kind, SocketMessage::Kind::ping);
    EXPECT_EQ(all[1].text, "hello");
    EXPECT_EQ(all[2].text, std::string(300, 'x'));
    EXPECT_EQ(all[3].kind, SocketMessage::Kind::close);
    EXPECT_EQ(reader.fault(), 0);
  }
}

TEST(WebSocket, WhatIsNoFrameOfAClientIsAFault) {
  const auto fault = [](const std::string& bytes) {
    FrameReader reader(100);
    reader.feed(bytes);
    return reader.fault();
  };
  EXPECT_EQ(fault("\x81\x02hi"), 1002);                         // no mask
  EXPECT_EQ(fault(masked("x", 3)), 1002);                       // no such opcode
  EXPECT_EQ(fault(masked("x", 0)), 1002);                       // nothing to continue
  EXPECT_EQ(fault(masked("a", 1, false) + masked("b")), 1002);  // another before the end
  EXPECT_EQ(fault(masked("x", 9, false)), 1002);                // a ping in pieces
  EXPECT_EQ(fault("\xf1\x80"), 1002);                           // reserved bits
  EXPECT_EQ(fault(masked("x", 2)), 1003);
  EXPECT_EQ(fault(masked(std::string(101, 'x'))), 1009);
  EXPECT_EQ(fault(masked(std::string(60, 'x'), 1, false) + masked(std::string(60, 'x'), 0)), 1009);
  std::string endless = "\x81\xff";
  endless += std::string(8, '\xff');
  EXPECT_EQ(fault(endless), 1009);
}

/// The payload of the next frame.
std::string frame(Client& client) {
  std::string head = client.bytes(2);
  std::size_t length = static_cast<unsigned char>(head[1]);
  if (length == 126) {
    const std::string more = client.bytes(2);
    length = static_cast<std::size_t>(static_cast<unsigned char>(more[0])) << 8 |
             static_cast<unsigned char>(more[1]);
  }
  return client.bytes(length);
}

const std::string upgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST(KeyboardSession, EveryKeystrokeIsAnswered) {
  const Serving serving;
  Client client = serving.client();
  client.send(Client::text_of("GET", "/v1/session", "", upgrade));
  const Answer answer = client.answer(true);
  ASSERT_EQ(answer.status, 101);
  EXPECT_EQ(answer.field("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  std::string text;
  int id = 0;
  for (const char key : std::string("the cat s")) {
    text += key;
    client.send(masked(json({{"append", std::string(1, key)}, {"id", ++id}, {"n", 3}}).dump()));
    const json got = json::parse(frame(client));
    EXPECT_EQ(got["id"], id);
    const json expected = serving.post("/v1/next", {{"text", text}, {"n", 3}}).object()["next"];
    ASSERT_EQ(got["next"].size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(got["next"][i]["text"], expected[i]["text"]);
      EXPECT_EQ(got["next"][i]["insert"], expected[i]["insert"]);
      // The text is read in pieces here.
      EXPECT_NEAR(got["next"][i]["probability"], expected[i]["probability"].get<double>(), 1e-6);
    }
  }
  client.send(masked(json({{"erase", 3}, {"append", "\u00fc"}, {"id", 99}, {"n", 2}}).dump()));
  EXPECT_EQ(json::parse(frame(client))["id"], 99);
  client.send(masked("{\"apend\":1}"));
  EXPECT_EQ(json::parse(frame(client))["error"]["param"], "apend");
  client.send(masked("nonsense"));
  EXPECT_TRUE(json::parse(frame(client)).contains("error"));
  client.send(masked("there?", 9));
  EXPECT_EQ(frame(client), "there?");
  client.send(masked("\x03\xe8", 8));
  EXPECT_EQ(frame(client), "\x03\xe8");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(serving.metric_becomes("sluice_http_open_requests", 1));
}

TEST(KeyboardSession, OnlyTheLastOfManyIsWaitedFor) {
  const Serving serving;
  Client client = serving.client();
  client.send(Client::text_of("GET", "/v1/session?model=small", "", upgrade));
  ASSERT_EQ(client.answer(true).status, 101);
  for (int id = 1; id <= 200; ++id) client.send(masked(json({{"append", "a"}, {"id", id}}).dump()));
  int last = 0;
  while (last < 200) {
    const json got = json::parse(frame(client));
    EXPECT_GT(got["id"], last);
    last = got["id"];
  }
  client.reset();
  EXPECT_TRUE(serving.metric_becomes("sluice_http_open_requests", 1));
}

TEST(KeyboardSession, FaultsCloseIt) {
  Serving serving;
  EXPECT_EQ(serving.get("/v1/session").status, 426);
  EXPECT_EQ(serving.get("/v1/session?model=other", upgrade).status, 404);
  EXPECT_EQ(serving.get("/v1/session", "Origin: http://evil.example\r\n" + upgrade).status, 403);
  Client client = serving.client();
  client.send(Client::text_of("GET", "/v1/session", "", upgrade));
  client.answer(true);
  client.send("these are no frames");
  EXPECT_TRUE(client.closed());
  // One that is open does not hold up the end.
  Client open = serving.client();
  open.send(Client::text_of("GET", "/v1/session", "", upgrade));
  open.answer(true);
  EXPECT_TRUE(serving.server->stop());
  EXPECT_TRUE(open.closed());
}

}  // namespace
}  // namespace sluice::server_test

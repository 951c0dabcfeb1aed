#include "worker_pool.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <new>

namespace sluice::server {
namespace {

TEST(WorkerPool, OutlivesAJobThatThrows) {
  WorkerPool pool(1, 10);
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> watched = held;
  bool done = false, let_go = false;
  ASSERT_TRUE(pool.add([held = std::move(held)] { throw std::bad_alloc(); }));
  // What the job held is let go of: whoever waits for it finds out.
  ASSERT_TRUE(pool.add([&] {
    done = true;
    let_go = watched.expired();
  }));
  pool.finish();
  EXPECT_TRUE(done);
  EXPECT_TRUE(let_go);
}

}  // namespace
}  // namespace sluice::server

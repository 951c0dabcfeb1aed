#pragma once
// What a shared library shows: declarations between these two. Sluice is compiled with hidden
// visibility; all of a public header's declarations stand between them, those in ROOM/detail/ and
// beside sources do not.

#define SLUICE_API_BEGIN _Pragma("GCC visibility push(default)")
#define SLUICE_API_END _Pragma("GCC visibility pop")

/*
 * Functions that are not used here, each with its replacement. Force-included into every file of ours.
 */
#ifndef GW_BASE_BANNED_H
#define GW_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* Has macros that name some of them: it comes before they are forbidden. */
#include <mysql.h>

/* clang's fortified stdio has these two as macros. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll system popen tmpnam mktemp

#endif

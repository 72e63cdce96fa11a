#ifndef GW_CLI_VERSION_H
#define GW_CLI_VERSION_H

#define GW_VERSION "0.1.0"

#endif

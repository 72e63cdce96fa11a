/* Capture by triggers against a real server: what is written is what is streamed, in an order that can be replayed. */
#include "maria_world.h"

int main(void)
{
    return 0;
}

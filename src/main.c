#include <stdio.h>

int main(void)
{
    puts("godwit " GW_VERSION);
    return 0;
}

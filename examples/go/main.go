// Signs a webhook and verifies it, as its sender and its receiver would.
//
//	go run . [ADDRESS]    # 127.0.0.1:50051 when left out
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hmacdv1 "example.com/webhooks/gen/hmacd/v1"
)

// The first time, this builds buf, which takes minutes. With buf installed, `buf generate` does the same.
//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate

const (
	key       = "alias/demo"
	algorithm = hmacdv1.MacAlgorithm_MAC_ALGORITHM_HMAC_SHA_256
	// After this long, a webhook is taken for a replay.
	maxAge = 5 * time.Minute
)

// UNAVAILABLE is that the store of keys cannot be reached, or hmacd itself. A MAC may be asked for as often as one
// likes, so trying again is safe; errors such as a wrong MAC are not tried again.
const retries = `{"methodConfig": [{
	"name": [{"service": "hmacd.v1.MacService"}],
	"retryPolicy": {
		"maxAttempts": 4,
		"initialBackoff": "0.1s",
		"maxBackoff": "1s",
		"backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

func main() {
	address := "127.0.0.1:50051"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		log.Fatal(err)
	}
}

func run(address string) error {
	conn, err := grpc.NewClient(address,
		// Plaintext is for loopback; elsewhere: credentials.NewTLS.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// Finds out that the other end is gone while a call waits for it; the operating system takes far longer.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultServiceConfig(retries),
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	macs := hmacdv1.NewMacServiceClient(conn)

	// Without a deadline, a call waits for ever.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	body := []byte(`{"order":1234,"total":"56.78"}`)
	now := time.Now()
	mac, err := sign(ctx, macs, now, body)
	if err != nil {
		return err
	}
	fmt.Printf("signed: %x\n", mac)

	genuine, err := verify(ctx, macs, now, body, mac)
	if err != nil {
		return err
	}
	fmt.Println("genuine:", genuine)

	forged, err := verify(ctx, macs, now, []byte(strings.Replace(string(body), "56.78", "0.01", 1)), mac)
	if err != nil {
		return err
	}
	fmt.Println("forged:", forged)
	return nil
}

func sign(ctx context.Context, macs hmacdv1.MacServiceClient, at time.Time, body []byte) ([]byte, error) {
	response, err := macs.GenerateMac(ctx, &hmacdv1.GenerateMacRequest{
		KeyId:        proto.String(key),
		MacAlgorithm: algorithm,
		Message:      digest(at, body),
	})
	return response.GetMac(), err
}

// verify tells whether the MAC is genuine. An error says that nobody knows: do not reject the webhook for it, let the
// sender try again.
func verify(ctx context.Context, macs hmacdv1.MacServiceClient, at time.Time, body, mac []byte) (bool, error) {
	if time.Since(at).Abs() > maxAge {
		return false, nil
	}
	response, err := macs.VerifyMac(ctx, &hmacdv1.VerifyMacRequest{
		KeyId:        proto.String(key),
		MacAlgorithm: algorithm,
		Message:      digest(at, body),
		Mac:          mac,
	})
	if info := errorInfo(err); info.GetReason() == "KMS_INVALID_MAC" {
		return false, nil
	}
	return response.GetMacValid(), err
}

// digest is what is signed: a message has at most 4,096 bytes, and a body may have more. The time in it stops replays.
func digest(at time.Time, body []byte) []byte {
	sum := sha256.Sum256(append(strconv.AppendInt(nil, at.Unix(), 10), append([]byte("."), body...)...))
	return sum[:]
}

// errorInfo is what hmacd says of an error; nil when it comes from elsewhere, such as a service that is not there.
func errorInfo(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "hmacd" {
			return info
		}
	}
	return nil
}

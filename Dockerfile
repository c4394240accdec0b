FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY internal internal
COPY pkg pkg
# TAGS=onepassword_sdk makes an image that also knows service accounts of 1Password, 14 MB more.
ARG TAGS=
RUN CGO_ENABLED=0 go build -trimpath -tags "$TAGS" -ldflags '-s -w' -o /remint .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /remint /remint
# It runs as root because the runner's command files (GITHUB_OUTPUT and its like) belong to root and are not
# writable for others. It needs no capability and no writable file system beside them.
ENTRYPOINT ["/remint"]
